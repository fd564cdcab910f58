#include "control/app/log.h"

#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

namespace rtpool::control {
namespace {

struct Log {
  std::shared_ptr<spdlog::logger> logger;
  LogFormat format = LogFormat::text;
};

Log& instance() {
  static Log log;
  return log;
}

spdlog::level::level_enum spdlog_level(Severity level) {
  switch (level) {
    case Severity::debug:
      return spdlog::level::debug;
    case Severity::info:
      return spdlog::level::info;
    case Severity::warning:
      return spdlog::level::warn;
    case Severity::error:
      return spdlog::level::err;
    case Severity::off:
      return spdlog::level::off;
  }
  return spdlog::level::info;
}

// The length of the well-formed UTF-8 sequence at the start of `text` (RFC 3629), 0 when there is
// none: JSON must be UTF-8, and a Call-ID need not be.
std::size_t utf8_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const auto continues = [&](std::size_t i) {
    return i < text.size() && (byte(i) & 0xc0U) == 0x80U;
  };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xc2 && first <= 0xdf) return continues(1) ? 2 : 0;
  if (first >= 0xe0 && first <= 0xef) {
    if (!continues(1) || !continues(2)) return 0;
    if (first == 0xe0 && byte(1) < 0xa0) return 0;   // overlong
    if (first == 0xed && byte(1) >= 0xa0) return 0;  // surrogate
    return 3;
  }
  if (first >= 0xf0 && first <= 0xf4) {
    if (!continues(1) || !continues(2) || !continues(3)) return 0;
    if (first == 0xf0 && byte(1) < 0x90) return 0;
    if (first == 0xf4 && byte(1) >= 0x90) return 0;
    return 4;
  }
  return 0;
}

void append_escaped(std::string& out, std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const std::size_t length = utf8_length(text);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text.front();
    } else if (c == '\n' || c == '\r' || c == '\t') {
      out += c == '\n' ? "\\n" : c == '\r' ? "\\r" : "\\t";
    } else if (c < 0x20 || c == 0x7f || length == 0) {
      // A byte that is no text is shown by its value, as if it were Latin-1.
      out += "\\u00";
      out += kHex[c >> 4];
      out += kHex[c & 15];
    } else {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    text.remove_prefix(1);
  }
}

bool is_plain(std::string_view text) {
  if (text.empty()) return false;
  for (const char c : text) {
    if (c <= ' ' || c >= 0x7f || c == '"' || c == '\\' || c == '=') return false;
  }
  return true;
}

}  // namespace

std::string_view to_string(LogFormat format) {
  return format == LogFormat::json ? "json" : "text";
}

std::string_view to_string(Severity level) {
  switch (level) {
    case Severity::debug:
      return "debug";
    case Severity::info:
      return "info";
    case Severity::warning:
      return "warning";
    case Severity::error:
      return "error";
    case Severity::off:
      return "off";
  }
  return "info";
}

std::string format_record(LogFormat format, std::string_view sentence,
                          std::initializer_list<LogField> fields) {
  std::string line;
  line.reserve(sentence.size() + 64);
  if (format == LogFormat::text) {
    append_escaped(line, sentence);
    for (const LogField& field : fields) {
      line.append(" ").append(field.key).append("=");
      if (is_plain(field.value)) {
        line += field.value;
      } else {
        line += '"';
        append_escaped(line, field.value);
        line += '"';
      }
    }
    return line;
  }
  line += "\"message\":\"";
  append_escaped(line, sentence);
  line += '"';
  for (const LogField& field : fields) {
    line.append(",\"").append(field.key).append(field.number ? "\":" : "\":\"");
    append_escaped(line, field.value);
    if (!field.number) line += '"';
  }
  return line;
}

void start_log(const LogOptions& options) {
  Log& log = instance();
  log.format = options.format;
  auto sink = std::make_shared<spdlog::sinks::stderr_color_sink_mt>();
  sink->set_color_mode(options.format == LogFormat::text && ::isatty(STDERR_FILENO) != 0
                           ? spdlog::color_mode::always
                           : spdlog::color_mode::never);
  log.logger = std::make_shared<spdlog::logger>("rtpool", std::move(sink));
  const char* pattern = options.format == LogFormat::json
                            ? R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})"
                            : "%Y-%m-%dT%H:%M:%S.%eZ %^%-7l%$ %v";
  log.logger->set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  log.logger->set_level(spdlog_level(options.level));
  log.logger->flush_on(spdlog::level::debug);
}

void set_log_severity(Severity level) {
  if (instance().logger) instance().logger->set_level(spdlog_level(level));
}

void flush_log() {
  if (instance().logger) instance().logger->flush();
}

void log(Severity level, std::string_view sentence, std::initializer_list<LogField> fields) {
  const Log& log = instance();
  if (!log.logger || !log.logger->should_log(spdlog_level(level))) return;
  // A string_view is logged as it is, so that braces from the network are no format.
  log.logger->log(spdlog_level(level),
                  spdlog::string_view_t(format_record(log.format, sentence, fields)));
}

}  // namespace rtpool::control
