// The SDP library as a peer for the oracle test, without sockets and relays: reads steps of a
// dialogue from stdin, writes the rewritten descriptions to stdout. Addresses come with each step,
// ports are counted up.
//
// A step: lines "key value" - `step offer|answer`, `from TAG`, `to TAG`, `v4 ADDRESS`, `v6 ADDRESS`
// (ours towards the recipient) and any key of take_word() - ended by "sdp BYTES" and the
// description itself. "new" begins a call. The reply: "ok BYTES" and the description, or "error
// TEXT".
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "control/sdp/rewrite.h"

namespace {

using namespace rtpool;
using namespace rtpool::sdp;

struct Request {
  Options options;
  std::string from, to;
  IpAddress v4 = IpAddress::v4(127, 0, 0, 1), v6;
};

class Dialogue {
 public:
  Result<std::string> run(const Request& step, const std::string& text) {
    const auto session = parse(text);
    if (!session) return session.error();
    // A branch that was not heard of before starts from what the caller's offer told it.
    if (step.options.step == Step::answer && parties_.count(step.from) == 0) {
      parties_[step.from] = offered_;
    }
    Party& recipient = parties_[step.to];
    const auto plan = negotiate(*session, step.options, parties_[step.from], recipient);
    if (!plan) return plan.error();
    if (step.options.step == Step::offer) offered_ = recipient;
    std::vector<MediaRewrite> ours;
    for (std::size_t i = 0; i < plan->media.size(); ++i) {
      const SocketPlan& sockets = plan->media[i].recipient;
      MediaRewrite entry;
      if (sockets.open) {
        const IpAddress& address = sockets.family == IpFamily::v4 ? step.v4 : step.v6;
        const auto port = static_cast<std::uint16_t>(30000 + 2 * i);
        entry.rtp = AdvertisedEndpoint{{address, port}};
        if (sockets.rtcp) {
          entry.rtcp = AdvertisedEndpoint{{address, static_cast<std::uint16_t>(port + 1)}};
        }
        if (sockets.ice) {
          entry.ice_ufrag = "ufrg" + std::to_string(i);
          entry.ice_pwd = "passwordpasswordpassword";
        }
      }
      ours.push_back(entry);
    }
    return rewrite(*session, step.options, ours, recipient, step.v4);
  }

 private:
  std::map<std::string, Party> parties_;
  Party offered_;
};

}  // namespace

int main() {
  Dialogue dialogue;
  Request step;
  std::string key, value;
  while (std::cin >> key) {
    if (key == "new") {
      dialogue = Dialogue();
      continue;
    }
    std::getline(std::cin >> std::ws, value);
    if (key == "step") {
      step.options.step = value == "offer" ? rtpool::sdp::Step::offer : rtpool::sdp::Step::answer;
    } else if (key == "from") {
      step.from = value;
    } else if (key == "to") {
      step.to = value;
    } else if (key == "v4" || key == "v6") {
      (key == "v4" ? step.v4 : step.v6) = IpAddress::parse(value).value_or(IpAddress{});
    } else if (key == "sdp") {
      std::string text(std::stoul(value), '\0');
      std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
      const auto reply = dialogue.run(step, text);
      if (reply) {
        std::cout << "ok " << reply->size() << "\n" << *reply << std::flush;
      } else {
        std::cout << "error " << reply.error().message() << std::endl;
      }
      step = Request();
    } else {
      take_word(step.options, key, value);
    }
  }
  return 0;
}
