// Short ways to say SDP in tests.
#pragma once

#include <gtest/gtest.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "control/sdp/rewrite.h"

namespace rtpool::sdp {

// Joins lines with CRLF.
inline std::string lines(std::initializer_list<std::string_view> texts) {
  std::string out;
  for (const std::string_view text : texts) out += std::string(text) + "\r\n";
  return out;
}

// A description with the usual head, and `texts` as its media part.
inline std::string description(std::initializer_list<std::string_view> texts) {
  return lines({"v=0", "o=a 1 1 IN IP4 192.0.2.1", "s=-", "c=IN IP4 192.0.2.1", "t=0 0"}) +
         lines(texts);
}

inline Session parsed(std::string_view text) {
  auto session = parse(text);
  EXPECT_TRUE(session.has_value()) << session.error().message();
  return session ? std::move(*session) : Session();
}

// Both sides of a dialogue through us: what each would be sent, with ports of ours from 30000.
class Dialogue {
 public:
  Party caller, callee;
  Plan plan;

  Result<std::string> offer(const std::string& text, Options options = {}) {
    options.step = Step::offer;
    return step(text, options, caller, callee);
  }
  Result<std::string> answer(const std::string& text, Options options = {}) {
    options.step = Step::answer;
    return step(text, options, callee, caller);
  }
  Result<std::string> step(const std::string& text, const Options& options, Party& from,
                           Party& to) {
    const auto session = parse(text);
    if (!session) return session.error();
    const auto planned = negotiate(*session, options, from, to);
    if (!planned) return planned.error();
    plan = *planned;
    std::vector<MediaRewrite> ours;
    std::uint16_t port = 30000;
    for (const MediaPlan& media : plan.media) {
      MediaRewrite entry;
      const IpAddress address = media.recipient.family == IpFamily::v4
                                    ? IpAddress::v4(198, 51, 100, 1)
                                    : *IpAddress::parse("2001:db8::1");
      if (media.recipient.open) entry.rtp = AdvertisedEndpoint{{address, port}};
      if (media.recipient.open && media.recipient.rtcp) {
        entry.rtcp = AdvertisedEndpoint{{address, static_cast<std::uint16_t>(port + 1)}};
      }
      if (media.recipient.ice) entry.ice_ufrag = "ours", entry.ice_pwd = "oursoursoursoursoursours";
      ours.push_back(entry);
      port = static_cast<std::uint16_t>(port + 2);
    }
    return rewrite(*session, options, ours, to, IpAddress::v4(198, 51, 100, 1));
  }
};

inline bool has_line(const std::string& text, std::string_view line) {
  return ("\n" + text).find("\n" + std::string(line) + "\r\n") != std::string::npos;
}

}  // namespace rtpool::sdp
