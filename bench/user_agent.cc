#include "bench/user_agent.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <system_error>
#include <utility>

#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr std::string_view kAllowed = "INVITE, ACK, BYE, CANCEL, OPTIONS";
constexpr std::size_t kAnsweredKept = 4096;

}  // namespace

UserAgent::UserAgent(Options options, UserAgentDelegate& delegate, std::uint64_t seed)
    : options_(std::move(options)), delegate_(delegate), random_(seed) {
  socket_ = open_udp_socket(options_.address, 0);
  if (socket_ < 0) {
    throw std::system_error(errno, std::generic_category(),
                            "no UDP port to be had on " + options_.address.to_string());
  }
  local_ = {options_.address, bound_port(socket_)};
  register_call_id_ = token(20);
}

UserAgent::~UserAgent() {
  close(socket_);
}

std::string UserAgent::token(std::size_t length) {
  constexpr std::string_view kLetters = "abcdefghijklmnopqrstuvwxyz0123456789";
  std::string made;
  while (made.size() < length) {
    made += kLetters[random_.below(static_cast<std::uint32_t>(kLetters.size()))];
  }
  return made;
}

std::string UserAgent::contact() const {
  return "<sip:" + options_.user + "@" + local_.to_string() + ">";
}

SipMessage UserAgent::new_request(std::string_view method, std::string_view uri) {
  SipMessage message = SipMessage::request(method, uri);
  message.add("Via",
              "SIP/2.0/UDP " + local_.to_string() + ";branch=z9hG4bK" + token(16) + ";rport");
  message.add("Max-Forwards", "70").add("User-Agent", "rtpool-bench");
  return message;
}

void UserAgent::register_contact(unsigned seconds, Instant now) {
  const std::string domain = options_.proxy.to_string();
  const std::string self = "<sip:" + options_.user + "@" + domain + ">";
  SipMessage message = new_request("REGISTER", "sip:" + domain);
  message.add("From", self + ";tag=" + token(10)).add("To", self);
  message.add("Call-ID", register_call_id_);
  message.add("CSeq", std::to_string(++register_cseq_) + " REGISTER");
  message.add("Contact", contact()).add("Expires", std::to_string(seconds));
  send_request(message, register_call_id_, options_.proxy, now);
}

std::string UserAgent::invite(std::string_view user, std::string sdp, Instant now) {
  const std::string domain = options_.proxy.to_string();
  const std::string call_id = token(24);
  Dialog& dialog = dialogs_[call_id];
  dialog.caller = true;
  dialog.local = "<sip:" + options_.user + "@" + domain + ">;tag=" + token(10);
  dialog.remote = "<sip:" + std::string(user) + "@" + domain + ">";
  SipMessage message = new_request("INVITE", header_uri(dialog.remote));
  message.add("From", dialog.local).add("To", dialog.remote).add("Call-ID", call_id);
  message.add("CSeq", "1 INVITE").add("Contact", contact()).add("Allow", kAllowed);
  message.add("Content-Type", "application/sdp");
  message.body = std::move(sdp);
  dialog.invite = message;
  send_request(message, call_id, options_.proxy, now);
  return call_id;
}

void UserAgent::bye(const std::string& call_id, Instant now) {
  const auto found = dialogs_.find(call_id);
  if (found == dialogs_.end()) return;
  Dialog& dialog = found->second;
  send_request(in_dialog(dialog, "BYE", call_id, ++dialog.cseq), call_id, next_hop(dialog), now);
}

SipMessage UserAgent::in_dialog(const Dialog& dialog, std::string_view method,
                                const std::string& call_id, std::uint32_t cseq) {
  SipMessage message = new_request(method, dialog.target);
  for (const auto& route : dialog.routes) message.add("Route", route);
  message.add("From", dialog.local).add("To", dialog.remote).add("Call-ID", call_id);
  message.add("CSeq", std::to_string(cseq) + " " + std::string(method));
  return message;
}

// Loose routing (12.2.1.1); a host name, which we don't resolve, is taken for the proxy's.
Endpoint UserAgent::next_hop(const Dialog& dialog) const {
  const std::string_view uri =
      dialog.routes.empty() ? std::string_view(dialog.target) : header_uri(dialog.routes.front());
  return uri_endpoint(uri).value_or(options_.proxy);
}

void UserAgent::send_request(const SipMessage& message, const std::string& call_id,
                             const Endpoint& to, Instant now) {
  Transaction& transaction = transactions_[std::string(message.branch())];
  transaction.method = message.method;
  transaction.call_id = call_id;
  transaction.text = message.to_text();
  transaction.to = to;
  transaction.resend_at = now + kT1;
  transaction.give_up_at = now + kPatience;
  send_text(transaction.text, to);
}

void UserAgent::send_text(const std::string& text, const Endpoint& to) const {
  send_datagram(socket_, as_bytes(text), to);
}

void UserAgent::reply(const SipMessage& request, const SipMessage& response, const Endpoint& to) {
  const std::string text = response.to_text();
  if (answered_.size() >= kAnsweredKept) answered_.clear();
  answered_[std::string(request.branch()) + " " + request.method] = {text, to};
  send_text(text, to);
}

void UserAgent::receive(Instant now) {
  std::array<std::byte, 65536> buffer;
  while (const auto arrival = receive_datagram(socket_, buffer)) {
    auto message = SipMessage::parse(as_text(Bytes(buffer).first(arrival->bytes)));
    if (!message || message->header("Call-ID").empty() || message->branch().empty()) continue;
    if (message->is_request()) {
      take_request(*message, arrival->source, now);
    } else {
      take_response(*message, now);
    }
  }
}

void UserAgent::take_request(SipMessage& request, const Endpoint& source, Instant now) {
  for (auto& [name, value] : request.headers) {
    if (!iequals(name, "Via")) continue;
    if (const auto rport = header_parameter(value, "rport"); rport && rport->empty()) {
      const auto at = value.find(";rport");  // RFC 3581, 4
      value.insert(at + 6,
                   "=" + std::to_string(source.port) + ";received=" + source.address.to_string());
    }
    break;
  }
  const auto before = answered_.find(std::string(request.branch()) + " " + request.method);
  if (before != answered_.end()) return send_text(before->second.text, before->second.to);
  if (request.method == "INVITE") return take_invite(request, source, now);
  if (request.method == "ACK") return take_ack(std::string(request.header("Call-ID")));
  if (request.method == "BYE" || request.method == "CANCEL") return take_bye(request, source);
  if (request.method == "OPTIONS") {
    SipMessage response = SipMessage::response(request, 200, "OK");
    return reply(request, response.add("Allow", kAllowed), source);
  }
  SipMessage refusal = SipMessage::response(request, 405, "Method Not Allowed");
  reply(request, refusal.add("Allow", kAllowed), source);
}

void UserAgent::take_invite(const SipMessage& request, const Endpoint& source, Instant now) {
  const std::string call_id(request.header("Call-ID"));
  if (const auto known = dialogs_.find(call_id); known != dialogs_.end()) {
    // A second branch of the same call, or a re-INVITE, which this telephone does not take part in.
    return reply(request, SipMessage::response(request, 488, "Not Acceptable Here"), source);
  }
  const auto sdp = delegate_.on_invite(*this, call_id, request.body);
  if (!sdp) return reply(request, SipMessage::response(request, 486, "Busy Here"), source);
  Dialog& dialog = dialogs_[call_id];
  dialog.local = std::string(request.header("To")) + ";tag=" + token(10);
  dialog.remote = request.header("From");
  dialog.target = header_uri(request.header("Contact"));
  dialog.routes = request.all("Record-Route");
  dialog.invite = request;
  dialog.sdp = *sdp;
  dialog.answer_to = source;
  dialog.answer_at = now + kRingTime;
  SipMessage trying = SipMessage::response(request, 100, "Trying");
  send_text(trying.to_text(), source);
  SipMessage ringing = SipMessage::response(request, 180, "Ringing");
  for (auto& [name, value] : ringing.headers) {
    if (iequals(name, "To")) value = dialog.local;
  }
  reply(request, ringing.add("Contact", contact()), source);
}

void UserAgent::answer(Dialog& dialog, Instant now) {
  dialog.answer_at.reset();
  SipMessage ok = SipMessage::response(dialog.invite, 200, "OK");
  for (auto& [name, value] : ok.headers) {
    if (iequals(name, "To")) value = dialog.local;
  }
  ok.add("Contact", contact()).add("Allow", kAllowed).add("Content-Type", "application/sdp");
  ok.body = dialog.sdp;
  dialog.final_text = ok.to_text();
  dialog.resend_at = now + kT1;
  reply(dialog.invite, ok, dialog.answer_to);
}

void UserAgent::take_ack(const std::string& call_id) {
  const auto found = dialogs_.find(call_id);
  if (found == dialogs_.end() || found->second.caller || found->second.final_text.empty()) return;
  found->second.resend_at.reset();
  if (std::exchange(found->second.connected, true)) return;
  delegate_.on_connected(*this, call_id, {});
}

void UserAgent::take_bye(const SipMessage& request, const Endpoint& source) {
  const std::string call_id(request.header("Call-ID"));
  const auto found = dialogs_.find(call_id);
  if (found == dialogs_.end()) {
    return reply(request, SipMessage::response(request, 481, "Call Does Not Exist"), source);
  }
  reply(request, SipMessage::response(request, 200, "OK"), source);
  const bool cancelled = request.method == "CANCEL";
  if (cancelled && found->second.connected) return;  // too late (9.2)
  if (cancelled) {
    SipMessage refusal = SipMessage::response(found->second.invite, 487, "Request Terminated");
    reply(found->second.invite, refusal, source);
  }
  dialogs_.erase(found);
  delegate_.on_ended(*this, call_id, cancelled ? 487 : 0, cancelled ? "cancelled" : "");
}

void UserAgent::take_response(const SipMessage& response, Instant now) {
  const auto found = transactions_.find(std::string(response.branch()));
  if (found == transactions_.end()) {
    // The 200 to an INVITE comes again until our ACK has arrived (13.2.2.4).
    const auto dialog = dialogs_.find(std::string(response.header("Call-ID")));
    if (dialog == dialogs_.end() || !iequals(response.cseq_method(), "INVITE")) return;
    if (!dialog->second.ack_text.empty()) send_text(dialog->second.ack_text, dialog->second.ack_to);
    return;
  }
  if (response.status < 200) {
    found->second.proceeding = true;
    found->second.give_up_at = now + kPatience;
    if (response.status == 180) delegate_.on_ringing(*this, found->second.call_id);
    return;
  }
  const Transaction transaction = std::move(found->second);
  transactions_.erase(found);
  if (transaction.method == "INVITE") {
    take_invite_response(response, transaction, now);
  } else if (transaction.method == "REGISTER") {
    delegate_.on_registered(*this, response.status, response.reason);
  } else if (transaction.method == "BYE") {
    dialogs_.erase(transaction.call_id);
    delegate_.on_ended(*this, transaction.call_id, response.status < 300 ? 0 : response.status,
                       response.reason);
  }
}

void UserAgent::take_invite_response(const SipMessage& response, const Transaction& transaction,
                                     Instant /*now*/) {
  const auto found = dialogs_.find(transaction.call_id);
  if (found == dialogs_.end()) return;
  if (response.status >= 300) {
    acknowledge_refusal(response, transaction);
    dialogs_.erase(found);
    return delegate_.on_ended(*this, transaction.call_id, response.status, response.reason);
  }
  Dialog& dialog = found->second;
  dialog.remote = response.header("To");
  dialog.target = header_uri(response.header("Contact"));
  dialog.routes = response.all("Record-Route");
  std::reverse(dialog.routes.begin(), dialog.routes.end());  // 12.1.2
  dialog.ack_text = in_dialog(dialog, "ACK", transaction.call_id, dialog.cseq).to_text();
  dialog.ack_to = next_hop(dialog);
  dialog.connected = true;
  send_text(dialog.ack_text, dialog.ack_to);
  delegate_.on_connected(*this, transaction.call_id, response.body);
}

// The ACK to a refusal belongs to the INVITE's transaction: same branch, same routes (17.1.1.3).
void UserAgent::acknowledge_refusal(const SipMessage& response, const Transaction& transaction) {
  const auto invite = SipMessage::parse(transaction.text);
  if (!invite) return;
  SipMessage ack = SipMessage::request("ACK", invite->uri);
  ack.add("Via", invite->header("Via")).add("Max-Forwards", "70");
  ack.add("From", invite->header("From")).add("To", response.header("To"));
  ack.add("Call-ID", transaction.call_id).add("CSeq", "1 ACK");
  send_text(ack.to_text(), transaction.to);
}

void UserAgent::give_up(const Transaction& transaction) {
  const std::string reason =
      "no answer to " + transaction.method + " from " + transaction.to.to_string();
  if (transaction.method == "REGISTER") return delegate_.on_registered(*this, 408, reason);
  dialogs_.erase(transaction.call_id);
  delegate_.on_ended(*this, transaction.call_id, 408, reason);
}

std::optional<Instant> UserAgent::tick(Instant now) {
  std::optional<Instant> next;
  const auto wake = [&next](Instant at) { next = next ? std::min(*next, at) : at; };
  std::vector<Transaction> hopeless;
  for (auto it = transactions_.begin(); it != transactions_.end();) {
    Transaction& transaction = it->second;
    if (now >= transaction.give_up_at) {
      hopeless.push_back(std::move(transaction));
      it = transactions_.erase(it);
      continue;
    }
    const bool invite = transaction.method == "INVITE";
    if (now >= transaction.resend_at && !(invite && transaction.proceeding)) {
      send_text(transaction.text, transaction.to);
      transaction.interval =
          invite ? transaction.interval * 2 : std::min(transaction.interval * 2, kT2);
      transaction.resend_at = now + transaction.interval;
    }
    wake(invite && transaction.proceeding ? transaction.give_up_at : transaction.resend_at);
    ++it;
  }
  for (auto& [call_id, dialog] : dialogs_) {
    if (dialog.answer_at && now >= *dialog.answer_at) answer(dialog, now);
    if (dialog.resend_at && now >= *dialog.resend_at) {
      send_text(dialog.final_text, dialog.answer_to);
      dialog.interval = std::min(dialog.interval * 2, kT2);
      dialog.resend_at = now + dialog.interval;
    }
    if (dialog.answer_at) wake(*dialog.answer_at);
    if (dialog.resend_at) wake(*dialog.resend_at);
  }
  for (const Transaction& transaction : hopeless) give_up(transaction);
  return next;
}

}  // namespace rtpool::bench
