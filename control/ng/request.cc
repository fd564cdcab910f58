#include "control/ng/request.h"

#include <algorithm>
#include <array>

#include "control/ng/request_fields.h"

namespace rtpool::ng {
namespace {

constexpr std::array<std::string_view, kCommandCount> kCommands = {"ping",
                                                                   "offer",
                                                                   "answer",
                                                                   "delete",
                                                                   "query",
                                                                   "list",
                                                                   "statistics",
                                                                   "start recording",
                                                                   "stop recording",
                                                                   "pause recording",
                                                                   "start forwarding",
                                                                   "stop forwarding",
                                                                   "block media",
                                                                   "unblock media",
                                                                   "silence media",
                                                                   "unsilence media",
                                                                   "block DTMF",
                                                                   "unblock DTMF",
                                                                   "play media",
                                                                   "stop media",
                                                                   "play DTMF",
                                                                   "publish",
                                                                   "subscribe request",
                                                                   "subscribe answer",
                                                                   "unsubscribe",
                                                                   "unknown"};

struct Needs {
  bool sdp, call_id, from_tag, to_tag;
};

Needs needs_of(Command command) {
  switch (command) {
    case Command::ping:
    case Command::list:
    case Command::statistics:
      return {false, false, false, false};
    case Command::offer:
      return {true, true, true, false};
    case Command::answer:
      return {true, true, true, true};
    case Command::publish:
      return {true, true, true, false};
    default:
      return {false, true, false, false};
  }
}

// In the order in which rtpengine looks, so that the first text is the same.
Error check_needs(const Request& request) {
  const Needs needs = needs_of(request.command);
  if (needs.sdp && request.sdp.empty()) return {Errc::missing_key, "No SDP body in message"};
  if (needs.call_id && request.call_id.empty()) return {Errc::missing_key, "No call-id in message"};
  if (needs.from_tag && request.from_tag.empty())
    return {Errc::missing_key, "No from-tag in message"};
  if (needs.to_tag && request.to_tag.empty()) return {Errc::missing_key, "No to-tag in message"};
  return {};
}

}  // namespace

std::string_view to_string(Command command) {
  return kCommands[static_cast<std::size_t>(command)];
}

std::optional<Command> parse_command(std::string_view text) {
  const auto* end = kCommands.end() - 1;  // "unknown" is none
  const auto* found = std::find_if(kCommands.begin(), end,
                                   [text](std::string_view name) { return same_word(name, text); });
  if (found == end) return std::nullopt;
  return static_cast<Command>(found - kCommands.begin());
}

FlagSet::FlagSet(std::initializer_list<std::string_view> words) {
  for (const std::string_view word : words) insert(word);
}

bool FlagSet::has(std::string_view word) const {
  return std::any_of(words_.begin(), words_.end(),
                     [word](const std::string& own) { return same_word(own, word); });
}

void FlagSet::insert(std::string_view word) {
  if (!has(word)) words_.emplace_back(word);
}

Result<Request> to_request(Value dictionary) {
  if (!dictionary.is_dictionary()) return Error(Errc::not_a_dictionary);
  const Value* command = dictionary.find("command");
  if (command == nullptr || !command->is_string()) return Error(Errc::missing_command);
  const auto known = parse_command(command->string());
  if (!known) return Error(Errc::unrecognized_command);

  Request request;
  request.command = *known;
  RequestFields fields(request);
  for (const Member& member : dictionary.members()) {
    if (Error error = fields.apply(member.key, member.value); error.code.failed()) return error;
  }
  fields.finish();
  if (Error error = check_needs(request); error.code.failed()) return error;
  dictionary.erase("sdp");
  request.raw = std::move(dictionary);
  return request;
}

Result<Request> parse_request(const Frame& frame, const ParseLimits& limits) {
  const auto encoding = detect_encoding(frame.body);
  if (!encoding) return encoding.error();
  auto dictionary = parse(frame.body, *encoding, limits);
  if (!dictionary) return dictionary.error();
  auto request = to_request(std::move(*dictionary));
  if (!request) return request;
  request->cookie = frame.cookie;
  request->encoding = *encoding;
  return request;
}

}  // namespace rtpool::ng
