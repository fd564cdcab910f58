// Records of the log: valid JSON whatever the network put into a field, and never more than one
// line.
#include "control/app/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <random>

namespace rtpool::control {
namespace {

nlohmann::json as_json(const std::string& record) {
  return nlohmann::json::parse("{" + record + "}");
}

TEST(Log, JsonHasSentenceAndFieldsWithTheirTypes) {
  const auto record =
      as_json(format_record(LogFormat::json, "call ended", {{"call_id", "a@b"}, {"packets", 12U}}));
  EXPECT_EQ(record["message"], "call ended");
  EXPECT_EQ(record["call_id"], "a@b");
  EXPECT_EQ(record["packets"], 12);
}

TEST(Log, TextQuotesOnlyWhatNeedsIt) {
  EXPECT_EQ(format_record(LogFormat::text, "call ended",
                          {{"call_id", "a@b"}, {"reason", "no media"}, {"x", ""}}),
            "call ended call_id=a@b reason=\"no media\" x=\"\"");
}

TEST(Log, ACallIdCantForgeALine) {
  const std::string hostile =
      "x\"}\n{\"level\":\"error\",\"message\":\"\x1b[31mforged\\ \xff\xc0\x80\xed\xa0\x80 \xc3\xa9";
  for (const auto format : {LogFormat::text, LogFormat::json}) {
    const auto record = format_record(format, "offer", {{"call_id", hostile}});
    EXPECT_EQ(record.find('\n'), std::string::npos);
    EXPECT_EQ(record.find('\x1b'), std::string::npos);
  }
  const auto record = as_json(format_record(LogFormat::json, "offer", {{"call_id", hostile}}));
  EXPECT_EQ(record.size(), 2U) << "message and call_id, no forged key";
}

TEST(Log, AnyBytesMakeValidJson) {
  std::mt19937 random(7);
  for (int round = 0; round < 2000; ++round) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    const auto record = format_record(LogFormat::json, bytes, {{"call_id", bytes}});
    EXPECT_TRUE(nlohmann::json::accept("{" + record + "}")) << record;
  }
}

}  // namespace
}  // namespace rtpool::control
