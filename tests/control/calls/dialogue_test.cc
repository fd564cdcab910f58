// Offers, answers, branches and hold as they change the record of a call.
#include "control/calls/dialogue.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "relay/media/call.h"

namespace rtpool::control {
namespace {

using ::testing::HasSubstr;

std::string audio(const std::string& address, int port, const std::string& extra = "") {
  return "v=0\r\no=- 1 1 IN IP4 " + address + "\r\ns=-\r\nc=IN IP4 " + address +
         "\r\nt=0 0\r\nm=audio " + std::to_string(port) + " RTP/AVP 8\r\n" + extra;
}

class DialogueTest : public ::testing::Test {
 protected:
  ng::Request request(const std::string& from, const std::string& to, const std::string& sdp,
                      const std::string& branch = "") {
    ng::Request made;
    made.call_id = "c";
    made.from_tag = from;
    made.to_tag = to;
    made.via_branch = branch;
    made.sdp = sdp;
    return made;
  }
  std::string offer(const ng::Request& made) {
    return write(take_offer(record, made, defaults, 0));
  }
  std::string answer(const ng::Request& made) {
    return write(take_answer(record, made, defaults, 0));
  }

  std::string write(Result<Exchange> taken) {
    if (!taken) return "error: " + taken.error().message();
    record.endpoints.clear();
    for (const auto& stream : record.spec.streams) {
      media::StreamState state;
      state.id = stream.id;
      const auto port = static_cast<std::uint16_t>(30000 + 2 * stream.id.value);
      state.rtp.advertised = {{IpAddress::v4(198, 51, 100, 1), port}};
      if (!stream.rtcp_mux) {
        state.rtcp.advertised = {
            {IpAddress::v4(198, 51, 100, 1), static_cast<std::uint16_t>(port + 1)}};
      }
      record.endpoints.push_back(state);
    }
    EXPECT_EQ(media::validate(record.spec), "");
    auto text = write_description(record, *taken);
    return text ? *text : "error: " + text.error().message();
  }
  media::StreamSpec& stream(std::size_t leg, std::size_t line = 0) {
    return *record.spec_of(record.legs.at(leg).media.at(line).stream);
  }

  CallRecord record = [] {
    CallRecord fresh;
    fresh.spec.key = "c";
    return fresh;
  }();
  DialogueDefaults defaults{
      0, [](std::span<std::byte> bytes) { std::fill(bytes.begin(), bytes.end(), std::byte{9}); }};
};

TEST_F(DialogueTest, each_party_is_told_the_port_that_faces_it) {
  EXPECT_THAT(offer(request("a", "", audio("203.0.113.1", 4000))), HasSubstr("m=audio 30004 "));
  EXPECT_THAT(answer(request("a", "b", audio("203.0.113.2", 5000))), HasSubstr("m=audio 30002 "));
}

TEST_F(DialogueTest, hold_stops_sending_and_keeps_the_address) {
  offer(request("a", "", audio("203.0.113.1", 4000)));
  answer(request("a", "b", audio("203.0.113.2", 5000)));
  offer(request("a", "b", audio("203.0.113.1", 4000, "a=sendonly\r\n")));
  EXPECT_FALSE(stream(0).send) << "who only sends must not be sent to";
  answer(request("a", "b", audio("203.0.113.2", 5000, "a=recvonly\r\n")));
  EXPECT_TRUE(stream(1).send);
  const auto epoch = stream(0).learn_epoch;
  offer(request("a", "b", audio("0.0.0.0", 4000)));
  EXPECT_FALSE(stream(0).send);
  EXPECT_EQ(stream(0).remote_rtp->to_string(), "203.0.113.1:4000");
  EXPECT_EQ(stream(0).learn_epoch, epoch) << "hold is no new address: nothing is learned again";
  offer(request("a", "b", audio("203.0.113.1", 4000)));
  EXPECT_TRUE(stream(0).send);
  EXPECT_EQ(stream(0).learn_epoch, epoch);
}

TEST_F(DialogueTest, a_re_invite_of_the_callee_finds_both_parties) {
  offer(request("a", "", audio("203.0.113.1", 4000)));
  answer(request("a", "b", audio("203.0.113.2", 5000)));
  EXPECT_THAT(offer(request("b", "a", audio("203.0.113.2", 5002))), HasSubstr("m=audio 30002 "));
  EXPECT_THAT(answer(request("b", "a", audio("203.0.113.1", 4000))), HasSubstr("m=audio 30004 "));
  EXPECT_EQ(record.legs.size(), 2U);
  EXPECT_EQ(record.spec.streams.size(), 2U);
  EXPECT_EQ(stream(1).remote_rtp->port, 5002);
  EXPECT_EQ(stream(1).learn_epoch, 2U) << "a new address is learned anew";
}

TEST_F(DialogueTest, branches_that_share_an_offer_share_its_ports_and_the_last_answer_is_heard) {
  offer(request("a", "", audio("203.0.113.1", 4000)));
  answer(request("a", "b1", audio("203.0.113.2", 5000)));
  const auto epoch = stream(1).learn_epoch;
  answer(request("a", "b2", audio("203.0.113.3", 6000)));
  EXPECT_EQ(record.legs.size(), 2U);
  EXPECT_EQ(stream(1).remote_rtp->to_string(), "203.0.113.3:6000");
  EXPECT_EQ(stream(1).learn_epoch, epoch + 1);
  EXPECT_EQ(record.leg_by_tag("b1"), record.leg_by_tag("b2"));
  answer(request("a", "b1", audio("203.0.113.2", 5000)));
  EXPECT_EQ(stream(1).remote_rtp->to_string(), "203.0.113.2:5000");
}

TEST_F(DialogueTest, branches_with_offers_of_their_own_have_ports_of_their_own) {
  offer(request("a", "", audio("203.0.113.1", 4000), "branch-1"));
  offer(request("a", "", audio("203.0.113.1", 4000), "branch-2"));
  EXPECT_EQ(record.legs.size(), 3U);
  answer(request("a", "b1", audio("203.0.113.2", 5000), "branch-1"));
  EXPECT_EQ(stream(0).forward_to, stream(1).id);
  EXPECT_EQ(stream(1).forward_to, stream(0).id);
  EXPECT_FALSE(stream(2).forward_to.valid()) << "a branch that has not answered is not heard";
  answer(request("a", "b2", audio("203.0.113.3", 6000), "branch-2"));
  EXPECT_EQ(stream(0).forward_to, stream(2).id);
  EXPECT_EQ(stream(2).forward_to, stream(0).id);
  EXPECT_FALSE(stream(1).forward_to.valid());
}

TEST_F(DialogueTest, deleting_one_branch_leaves_the_others) {
  offer(request("a", "", audio("203.0.113.1", 4000), "branch-1"));
  offer(request("a", "", audio("203.0.113.1", 4000), "branch-2"));
  answer(request("a", "b1", audio("203.0.113.2", 5000), "branch-1"));
  answer(request("a", "b2", audio("203.0.113.3", 6000), "branch-2"));
  EXPECT_EQ(take_delete(record, request("a", "b1", "")), Forgotten::branch);
  EXPECT_EQ(record.legs.size(), 2U);
  EXPECT_EQ(record.spec.streams.size(), 2U);
  EXPECT_EQ(media::validate(record.spec), "");
  EXPECT_EQ(take_delete(record, request("b2", "a", "")), Forgotten::call);
  EXPECT_EQ(take_delete(record, request("x", "a", "")), Forgotten::nothing);
  EXPECT_EQ(take_delete(record, request("", "", "")), Forgotten::call);
}

TEST_F(DialogueTest, a_line_with_port_0_has_no_ports_and_gets_them_when_it_is_offered_again) {
  const std::string two = "m=video 0 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
  const auto text = offer(request("a", "", audio("203.0.113.1", 4000, two)));
  EXPECT_THAT(text, HasSubstr("m=video 0 "));
  EXPECT_EQ(record.spec.streams.size(), 2U);
  answer(request("a", "b", audio("203.0.113.2", 5000, two)));
  const std::string video = "m=video 4002 RTP/AVP 96\r\na=rtpmap:96 H264/90000\r\n";
  EXPECT_THAT(offer(request("a", "b", audio("203.0.113.1", 4000, video))),
              HasSubstr("m=video 30008 "));
  EXPECT_EQ(record.spec.streams.size(), 4U);
  offer(request("a", "b", audio("203.0.113.1", 4000, two)));
  EXPECT_EQ(record.spec.streams.size(), 2U) << "ports go back";
}

TEST_F(DialogueTest, the_sip_source_may_stand_in_for_a_private_address) {
  auto made = request("a", "", audio("192.168.1.5", 4000));
  made.received_from = IpAddress::v4(203, 0, 113, 7);
  offer(made);
  EXPECT_EQ(stream(0).remote_rtp->to_string(), "192.168.1.5:4000");
  EXPECT_EQ(stream(0).sip_source->to_string(), "203.0.113.7");
  made.flags = {"SIP-source-address"};
  offer(made);
  EXPECT_EQ(stream(0).remote_rtp->to_string(), "203.0.113.7:4000");
}

TEST_F(DialogueTest, directions_choose_the_interfaces) {
  auto made = request("a", "", audio("203.0.113.1", 4000));
  made.direction = {"internal", "external"};
  offer(made);
  EXPECT_EQ(stream(0).interface, "internal");
  EXPECT_EQ(stream(1).interface, "external");
}

TEST_F(DialogueTest, an_answer_without_an_offer_is_refused) {
  EXPECT_THAT(answer(request("a", "b", audio("203.0.113.2", 5000))), HasSubstr("unknown call"));
}

TEST_F(DialogueTest, legs_are_limited) {
  std::string last;
  for (int i = 0; i < 40; ++i) {
    CallRecord next = record;
    const auto made = request("a", "", audio("203.0.113.1", 4000), "branch-" + std::to_string(i));
    if (auto taken = take_offer(next, made, defaults, 0))
      record = next;
    else
      last = taken.error().message();
  }
  EXPECT_EQ(record.legs.size(), kMaxLegsPerCall);
  EXPECT_THAT(last, HasSubstr("more than 16 legs"));
}

}  // namespace
}  // namespace rtpool::control
