#include "control/ng/codec.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "control/ng/reply.h"
#include "tests/control/ng/transcripts.h"

namespace rtpool::ng {
namespace {

std::string repeated(std::string_view text, std::size_t times) {
  std::string result;
  for (std::size_t i = 0; i < times; ++i) result += text;
  return result;
}

Errc code_of(const Error& error) {
  return static_cast<Errc>(error.code.value());
}

TEST(Frame, TheCookieIsAllBeforeTheFirstSpace) {
  const auto frame = split_frame("0_1_2 d7:command4:pinge");

  ASSERT_TRUE(frame);
  EXPECT_EQ(frame->cookie, "0_1_2");
  EXPECT_EQ(frame->body, "d7:command4:pinge");
}

TEST(Frame, WithoutACookieThereIsNothingToAnswer) {
  const std::string long_cookie(kMaxCookieBytes + 1, 'x');
  for (const std::string& datagram :
       {std::string(), std::string("nospace"), std::string(" d7:command4:pinge"),
        std::string("coo\x01kie de"), std::string("c\xc3\xa9 de"), long_cookie + " de"}) {
    const auto frame = split_frame(datagram);
    ASSERT_FALSE(frame) << datagram;
    EXPECT_EQ(code_of(frame.error()), Errc::no_cookie);
  }
  EXPECT_TRUE(split_frame(std::string(kMaxCookieBytes, 'x') + " de"));
}

TEST(Encodings, AreToldApartByTheFirstByte) {
  EXPECT_EQ(*detect_encoding("d7:command4:pinge"), Encoding::bencode);
  EXPECT_EQ(*detect_encoding("{\"command\":\"ping\"}"), Encoding::json);
  EXPECT_EQ(error_reason(detect_encoding("").error()), "Invalid data (no payload)");
  EXPECT_EQ(error_reason(detect_encoding("[]").error()), "Invalid NG data format");
  EXPECT_EQ(error_reason(detect_encoding(" de").error()), "Invalid NG data format");
}

TEST(Bencode, KeepsTheOrderOfKeysAndEveryByte) {
  const std::string text = "d1:zi-5e1:a3:" + std::string("\0\xff\n", 3) + "1:ml0:d1:x0:eee";

  const auto value = parse_bencode(text);

  ASSERT_TRUE(value);
  EXPECT_EQ(value->members()[0].key, "z");
  EXPECT_EQ(value->find_integer("z"), -5);
  EXPECT_EQ(value->find_text("a"), std::string("\0\xff\n", 3));
  EXPECT_EQ(encode_bencode(*value), text);
}

TEST(Bencode, RealRequestsSurviveTheRoundTrip) {
  for (const std::string_view datagram : transcripts::kAll) {
    const auto frame = split_frame(datagram);
    ASSERT_TRUE(frame);
    const Encoding encoding = *detect_encoding(frame->body);
    const auto value = parse(frame->body, encoding);
    ASSERT_TRUE(value) << datagram;
    if (encoding == Encoding::bencode) {
      EXPECT_EQ(encode(*value, encoding), frame->body);
    }
    EXPECT_EQ(*parse_json(encode_json(*value)), *value);
    EXPECT_EQ(*parse_bencode(encode_bencode(*value)), *value);
  }
}

TEST(Bencode, RefusesWhatIsMalformed) {
  for (const std::string_view text :
       {"d", "d7:command", "d7:command4:pin", "di1e4:pinge", "dl1:ae1:be", "d1:ae", "d1:ai12",
        "d1:aie", "d1:ai-e", "d1:ai1.5ee", "d1:ai99999999999999999999ee",
        "d99999999999999999999:xe", "d-1:xe", "d1:a1:bee", "dex", "d1:a1x", "dxe", "l", "d1:aee"}) {
    const auto value = parse_bencode(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(code_of(value.error()), Errc::malformed_bencode) << text;
    EXPECT_THAT(error_reason(value.error()),
                testing::StartsWith("Could not decode bencode dictionary"))
        << text;
  }
}

TEST(Bencode, ForgivesALineFeedAtTheEnd) {
  EXPECT_TRUE(parse_bencode("d7:command4:pinge\r\n"));
}

TEST(Json, ReadsWhatBencodeCanNotSay) {
  const auto value = parse_json(
      R"({"a":true,"b":false,"c":null,"d":1.9,"e":[1,"x"],"f":{"g":-3},"h":"\u00e9\n"})");

  ASSERT_TRUE(value);
  EXPECT_EQ(value->find_integer("a"), 1);
  EXPECT_EQ(value->find_integer("b"), 0);
  EXPECT_EQ(value->find_text("c"), "");
  EXPECT_EQ(value->find_integer("d"), 1);
  EXPECT_EQ(value->find("e")->items().size(), 2U);
  EXPECT_EQ(value->find("f")->find_integer("g"), -3);
  EXPECT_EQ(value->find_text("h"), "\u00e9\n");
}

TEST(Json, RefusesWhatIsMalformed) {
  for (const std::string_view text :
       {"{", "{}x", "{\"a\":}", "{\"a\":1,}", "{'a':1}", "{\"a\":\"\xff\"}", "{\"a\":1e999}",
        "{\"a\":1e300}", "{\"a\":\"\\ud800\"}", "{\"a\" 1}", "", "{\"a\":[}"}) {
    const auto value = parse_json(text);
    ASSERT_FALSE(value) << text;
    EXPECT_EQ(code_of(value.error()), Errc::malformed_json) << text;
  }
}

TEST(Json, WritesBytesThatAreNoTextAsReplacementCharacters) {
  const Value value = Value::dictionary(
      {{"quote\"", "a\\b\r\n\x01\x7f"}, {"latin", "caf\xe9"}, {"cut", "\xe2\x82"}});

  EXPECT_EQ(encode_json(value),
            "{\"quote\\\"\":\"a\\\\b\\r\\n\\u0001\\u007f\",\"latin\":\"caf\xef\xbf\xbd\",\"cut\":"
            "\"\xef\xbf\xbd\xef\xbf\xbd\"}");
}

struct Limited {
  std::string bencode, json;
};

void expect_limit(const Limited& text, const ParseLimits& limits, std::string_view reason) {
  for (const auto& value : {parse_bencode(text.bencode, limits), parse_json(text.json, limits)}) {
    ASSERT_FALSE(value) << reason;
    EXPECT_EQ(code_of(value.error()), Errc::limit_exceeded);
    EXPECT_EQ(error_reason(value.error()), reason);
  }
}

TEST(Limits, NestingIsBounded) {
  const auto nested = [](std::size_t depth) {
    return Limited{"d1:a" + repeated("l", depth - 1) + repeated("e", depth - 1) + "e",
                   "{\"a\":" + repeated("[", depth - 1) + repeated("]", depth - 1) + "}"};
  };
  EXPECT_TRUE(parse_bencode(nested(16).bencode));
  EXPECT_TRUE(parse_json(nested(16).json));
  expect_limit(nested(17), {}, "Message is nested too deeply");
  expect_limit(nested(30'000), {}, "Message is nested too deeply");
}

TEST(Limits, TheNumberOfValuesIsBounded) {
  const auto many = [](std::size_t count) {
    return Limited{"d1:al" + repeated("0:", count) + "ee",
                   "{\"a\":[0" + repeated(",0", count - 1) + "]}"};
  };
  EXPECT_TRUE(parse_bencode(many(4094).bencode));
  EXPECT_TRUE(parse_json(many(4094).json));
  expect_limit(many(4095), {}, "Message has too many values");
}

TEST(Limits, TheLengthIsBounded) {
  expect_limit({"d1:a3:xyze", "{\"a\":\"x\"}"}, {.max_bytes = 8}, "Message is too long");
}

TEST(Reply, GoesBackInTheEncodingOfTheRequest) {
  EXPECT_EQ(frame("1_2", pong(), Encoding::bencode), "1_2 d6:result4:ponge");
  EXPECT_EQ(frame("1_2", pong(), Encoding::json), "1_2 {\"result\":\"pong\"}");
  EXPECT_EQ(frame("1_2", error(kUnknownCall), Encoding::bencode),
            "1_2 d6:result5:error12:error-reason15:Unknown call-ide");
  EXPECT_EQ(frame("1_2", warning(kTagsDidNotMatch), Encoding::bencode),
            "1_2 d6:result2:ok7:warning38:Call-ID not found or tags didn't matche");
}

TEST(Reply, OverloadIsSaidAsTheProxyUnderstandsIt) {
  EXPECT_EQ(encode_bencode(load_limit(true)),
            "d6:result10:load limit7:message30:Parallel session limit reachede");
  EXPECT_EQ(encode_bencode(load_limit(false, kRanOutOfPorts)),
            "d6:result5:error12:error-reason16:Ran out of portse");
}

}  // namespace
}  // namespace rtpool::ng
