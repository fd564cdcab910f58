// The kinds of values that options have, each with its one way of being written. The same text is
// accepted on the command line and in the configuration file, and format_*() gives it back, so that
// what is printed can be pasted.
//
// Pure functions over text. A parser's error is a sentence without subject ("is not a port range;
// write …"), to be put after the option's name and the value; nothing here resolves names, opens a
// socket or reads a file.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "relay/base/endpoint.h"
#include "relay/base/result.h"
#include "relay/base/time.h"
#include "relay/engine.h"

namespace rtpool::control {

// "500us", "50ms", "10s", "5m", "2h"; a plain 0 is none. Whole numbers only.
Result<Duration> parse_duration(std::string_view text);
// The largest unit that holds the value exactly.
std::string format_duration(Duration duration);

// A whole number from `least` to `most`.
Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most);

// "800M", "1G", "500k" bits per second, or the plain number; 0 is none. Whole numbers only, 200k to
// 1000G.
Result<std::uint64_t> parse_bit_rate(std::string_view text);
// With the largest unit that holds the value exactly.
std::string format_bit_rate(std::uint64_t bits_per_second);

// "true" or "false".
Result<bool> parse_bool(std::string_view text);

// An address to bind: numeric IPv4, [IPv6] or `localhost`, and a port; port 0 takes a free one.
Result<Endpoint> parse_listen(std::string_view text);
// The same or `off`, which is nullopt.
Result<std::optional<Endpoint>> parse_listen_or_off(std::string_view text);

// Where to connect to: HOST:PORT, HOST a name or an address ([IPv6] in brackets). Checked for form
// only.
Result<std::string> parse_target(std::string_view text);
// One or more of them with commas between; at most kMaxRegistrars, none twice.
Result<std::vector<std::string>> parse_targets(std::string_view text);
inline constexpr std::size_t kMaxRegistrars = 5;

// Whether a target as parse_target() takes it is this host's loopback for certain.
bool is_loopback_target(std::string_view target);

// [NAME/]ADDRESS[!ADVERTISED]; NAME as the NG key `direction` uses it, "default" where there is
// none.
Result<MediaAddress> parse_media_address(std::string_view text);
std::string format_media_address(const MediaAddress& address);

// MIN-MAX, 1024 to 65535, with room for at least one even/odd pair.
Result<PortRange> parse_port_range(std::string_view text);
std::string format_port_range(const PortRange& range);

// Processor cores, numbers and ranges with commas between, such as 0,2-3; none twice.
Result<std::vector<std::uint32_t>> parse_cores(std::string_view text);

// A name of a pool, zone, relay or interface: letters, digits, '.', '_' and '-', 1 to 64 of them.
Result<std::string> parse_name(std::string_view text);

// The word of `words` nearest to `word` by edit distance; empty when none is near enough to be
// meant.
std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words);

}  // namespace rtpool::control
