// The program's log, on stderr: text for people (coloured only on a terminal) or one JSON object a
// line.
//
// A record is a fixed sentence and fields; what came from the network (a Call-ID, a tag) is always
// a field and never part of the sentence, so that programs can search for it and a hostile one
// can't forge a line: control characters are escaped in both formats. Safe from any thread once
// start_log() has returned. Never called per packet (law 4), and never given a secret (law 9): it
// can't tell one.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>

namespace rtpool::control {

enum class LogFormat : std::uint8_t { text, json };
// `off` is a threshold only: no record has it.
enum class Severity : std::uint8_t { debug, info, warning, error, off };

struct LogOptions {
  LogFormat format = LogFormat::text;
  Severity level = Severity::info;  // records below it are not written
};

std::string_view to_string(LogFormat format);
std::string_view to_string(Severity level);

struct LogField {
  std::string_view key;  // snake_case; the call's own is "call_id"
  std::string value;

  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(v) {}
  LogField(std::string_view k, const char* v) : key(k), value(v) {}
  LogField(std::string_view k, std::uint64_t v) : key(k), value(std::to_string(v)), number(true) {}
  LogField(std::string_view k, std::uint32_t v) : key(k), value(std::to_string(v)), number(true) {}
  LogField(std::string_view k, int v) : key(k), value(std::to_string(v)), number(true) {}

  bool number = false;  // written without quotes in JSON
};

// Before any other thread runs. Until then records go nowhere.
void start_log(const LogOptions& options);
// At any time (SIGHUP).
void set_log_severity(Severity level);
void flush_log();

void log(Severity level, std::string_view sentence, std::initializer_list<LogField> fields = {});

// The part of a line after time and level, as log() writes it. Exposed for tests.
std::string format_record(LogFormat format, std::string_view sentence,
                          std::initializer_list<LogField> fields);

}  // namespace rtpool::control
