#include "control/app/values.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <limits>

#include "control/app/errc.h"
#include "relay/base/cores.h"

namespace rtpool::control {
namespace {

Error problem(std::string sentence) {
  return {AppErrc::usage, std::move(sentence)};
}

std::optional<std::uint64_t> whole_number(std::string_view text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, failed] = std::from_chars(text.data(), end, value);
  if (text.empty() || failed != std::errc{} || rest != end) return std::nullopt;
  return value;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
  const auto value = whole_number(text);
  if (!value || *value > 65535) return std::nullopt;
  return static_cast<std::uint16_t>(*value);
}

struct Unit {
  std::string_view name;
  std::int64_t nanoseconds;
};
constexpr std::array<Unit, 5> kUnits{{{"h", 3'600'000'000'000},
                                      {"m", 60'000'000'000},
                                      {"s", 1'000'000'000},
                                      {"ms", 1'000'000},
                                      {"us", 1'000}}};

struct RateUnit {
  std::string_view name;
  std::uint64_t bits;
};
constexpr std::array<RateUnit, 3> kRateUnits{
    {{"G", 1'000'000'000}, {"M", 1'000'000}, {"k", 1'000}}};
constexpr std::uint64_t kLeastBits = 200'000;  // less than one call would refuse everything
constexpr std::uint64_t kMostBits = 1'000'000'000'000;

bool is_name_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
         c == '_' || c == '-';
}

struct HostPort {
  std::string_view host;  // without brackets
  std::uint16_t port = 0;
  bool bracketed = false;
};

std::optional<HostPort> split_host_port(std::string_view text) {
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  const auto port = port_number(text.substr(colon + 1));
  std::string_view host = text.substr(0, colon);
  if (!port || host.empty()) return std::nullopt;
  if (host.front() == '[') {
    if (host.size() < 3 || host.back() != ']') return std::nullopt;
    return HostPort{host.substr(1, host.size() - 2), *port, true};
  }
  // A second colon without brackets is an IPv6 address whose last group would be taken for the
  // port.
  if (host.find(':') != std::string_view::npos) return std::nullopt;
  return HostPort{host, *port, false};
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substituted = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substituted});
    }
  }
  return row[b.size()];
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
  if (text == "0") return Duration{0};
  const auto digits = text.find_first_not_of("0123456789");
  if (digits != std::string_view::npos && digits > 0) {
    const auto value = whole_number(text.substr(0, digits));
    for (const Unit& unit : kUnits) {
      if (text.substr(digits) != unit.name) continue;
      const auto most = std::numeric_limits<std::int64_t>::max() / unit.nanoseconds;
      if (!value || *value > static_cast<std::uint64_t>(most)) return problem("is too long a time");
      return Duration{static_cast<std::int64_t>(*value) * unit.nanoseconds};
    }
  }
  return problem("is not a duration; write a whole number with us, ms, s, m or h, such as 50ms");
}

std::string format_duration(Duration duration) {
  if (duration.count() == 0) return "0";
  for (const Unit& unit : kUnits) {
    if (duration.count() % unit.nanoseconds == 0)
      return std::to_string(duration.count() / unit.nanoseconds) + std::string(unit.name);
  }
  return std::to_string(duration.count() / 1000) + "us";
}

Result<std::uint64_t> parse_number(std::string_view text, std::uint64_t least, std::uint64_t most) {
  const auto value = whole_number(text);
  const std::string range = std::to_string(least) + " to " + std::to_string(most);
  if (!value) return problem("is not a whole number; write one from " + range);
  if (*value < least || *value > most) return problem("is out of range; write " + range);
  return *value;
}

Result<std::uint64_t> parse_bit_rate(std::string_view text) {
  if (text == "0") return std::uint64_t{0};
  std::uint64_t unit = 1;
  const auto digits = text.find_first_not_of("0123456789");
  for (const RateUnit& known : kRateUnits) {
    if (digits != std::string_view::npos && text.substr(digits) == known.name) unit = known.bits;
  }
  const auto value = whole_number(unit == 1 ? text : text.substr(0, digits));
  if (!value) {
    return problem(
        "is not a bit rate; write a whole number, with k, M or G after it or not, such "
        "as 800M");
  }
  if (*value > kMostBits / unit || *value * unit < kLeastBits) {
    return problem("is out of range; write 200k to 1000G, or 0 for none");
  }
  return *value * unit;
}

std::string format_bit_rate(std::uint64_t bits_per_second) {
  for (const RateUnit& unit : kRateUnits) {
    if (bits_per_second > 0 && bits_per_second % unit.bits == 0)
      return std::to_string(bits_per_second / unit.bits) + std::string(unit.name);
  }
  return std::to_string(bits_per_second);
}

Result<bool> parse_bool(std::string_view text) {
  if (text == "true") return true;
  if (text == "false") return false;
  return problem("is neither true nor false");
}

Result<Endpoint> parse_listen(std::string_view text) {
  const auto parts = split_host_port(text);
  if (!parts)
    return problem(
        "is not an address and port; write HOST:PORT, such as 127.0.0.1:7480 or [::1]:7480");
  if (parts->host == "localhost" && !parts->bracketed)
    return Endpoint{IpAddress::v4(127, 0, 0, 1), parts->port};
  const auto address = IpAddress::parse(parts->host);
  if (!address || address->is_v4() == parts->bracketed)
    return problem(
        "does not name an address of this host; write a numeric one, such as 127.0.0.1:7480 or "
        "[::1]:7480");
  return Endpoint{*address, parts->port};
}

Result<std::optional<Endpoint>> parse_listen_or_off(std::string_view text) {
  if (text == "off") return std::optional<Endpoint>{};
  auto endpoint = parse_listen(text);
  if (!endpoint) return problem(endpoint.error().detail + ", or off");
  return std::optional<Endpoint>(*endpoint);
}

Result<std::string> parse_target(std::string_view text) {
  const auto parts = split_host_port(text);
  const bool fits =
      parts && parts->port != 0 && text.size() <= 255 &&
      (parts->bracketed ? IpAddress::parse(parts->host).has_value()
                        : std::all_of(parts->host.begin(), parts->host.end(), is_name_character));
  if (!fits)
    return problem("is not a place to connect to; write HOST:PORT, such as 127.0.0.1:7400");
  return std::string(text);
}

Result<std::vector<std::string>> parse_targets(std::string_view text) {
  std::vector<std::string> targets;
  while (true) {
    const auto comma = text.find(',');
    auto target = parse_target(text.substr(0, comma));
    if (!target)
      return problem(
          "is not a list of places; write HOST:PORT or HOST:PORT,HOST:PORT, such as "
          "10.0.0.1:7400,10.0.0.2:7400");
    if (std::find(targets.begin(), targets.end(), *target) != targets.end())
      return problem("names " + *target + " twice");
    targets.push_back(std::move(*target));
    if (comma == std::string_view::npos) break;
    text.remove_prefix(comma + 1);
  }
  if (targets.size() > kMaxRegistrars)
    return problem("names more than " + std::to_string(kMaxRegistrars) + " registrars");
  return targets;
}

bool is_loopback_target(std::string_view target) {
  const auto parts = split_host_port(target);
  if (!parts) return false;
  if (parts->host == "localhost") return true;
  const auto address = IpAddress::parse(parts->host);
  return address && address->unmapped().is_loopback();
}

Result<MediaAddress> parse_media_address(std::string_view text) {
  static constexpr std::string_view kForm =
      "; write [NAME/]ADDRESS[!ADVERTISED], such as 192.0.2.10 or external/10.0.0.5!192.0.2.10";
  MediaAddress media;
  media.name = "default";
  std::string_view rest = text;
  if (const auto slash = rest.find('/'); slash != std::string_view::npos) {
    const auto name = parse_name(rest.substr(0, slash));
    if (!name) return problem("has a name that " + name.error().detail);
    media.name = *name;
    rest.remove_prefix(slash + 1);
  }
  const auto bang = rest.find('!');
  const auto local = IpAddress::parse(rest.substr(0, bang));
  if (!local) return problem("does not hold a numeric IPv4 or IPv6 address" + std::string(kForm));
  media.local = *local;
  media.advertised = *local;
  if (bang != std::string_view::npos) {
    const auto advertised = IpAddress::parse(rest.substr(bang + 1));
    if (!advertised) return problem("has no numeric address after the '!'" + std::string(kForm));
    if (advertised->family != local->family)
      return problem("advertises an address of the other IP version");
    media.advertised = *advertised;
  }
  for (const IpAddress* address : {&media.local, &media.advertised}) {
    if (address->is_unspecified() || address->is_multicast() || address->is_broadcast())
      return problem("names " + address->to_string() +
                     ", which no party can send media to; write one address of this host");
  }
  return media;
}

std::string format_media_address(const MediaAddress& address) {
  std::string text = address.name == "default" ? "" : address.name + "/";
  text += address.local.to_string();
  if (address.advertised != address.local) text += "!" + address.advertised.to_string();
  return text;
}

Result<PortRange> parse_port_range(std::string_view text) {
  const auto dash = text.find('-');
  const auto first = port_number(text.substr(0, dash));
  const auto last =
      dash == std::string_view::npos ? std::nullopt : port_number(text.substr(dash + 1));
  if (!first || !last) return problem("is not a port range; write MIN-MAX, such as 30000-39999");
  if (*first > *last)
    return problem("has its first port above its last; write MIN-MAX, such as 30000-39999");
  if (*first < 1024)
    return problem("reaches below port 1024; write MIN-MAX within 1024-65535, such as 30000-39999");
  const unsigned even = (*first + 1U) & ~1U;
  if (even + 1U > *last)
    return problem(
        "holds no pair of an even port and the next odd one; write a wider range, such as "
        "30000-39999");
  return PortRange{*first, *last};
}

std::string format_port_range(const PortRange& range) {
  return std::to_string(range.first) + "-" + std::to_string(range.last);
}

Result<std::vector<std::uint32_t>> parse_cores(std::string_view text) {
  static constexpr std::string_view kForm =
      "; write numbers and ranges with commas between, such as 0,2-3";
  std::vector<std::uint32_t> cores;
  while (true) {
    const auto comma = text.find(',');
    const auto item = text.substr(0, comma);
    const auto dash = item.find('-');
    const auto first = whole_number(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : whole_number(item.substr(dash + 1));
    if (!first || !last) return problem("is not a list of cores" + std::string(kForm));
    if (*first > *last)
      return problem("has a range whose first core is above its last" + std::string(kForm));
    if (*last >= kMaxCores)
      return problem("names a core above " + std::to_string(kMaxCores - 1) + std::string(kForm));
    for (auto core = static_cast<std::uint32_t>(*first); core <= *last; ++core) {
      if (std::find(cores.begin(), cores.end(), core) != cores.end())
        return problem("names core " + std::to_string(core) + " twice");
      cores.push_back(core);
    }
    if (comma == std::string_view::npos) return cores;
    text.remove_prefix(comma + 1);
  }
}

Result<std::string> parse_name(std::string_view text) {
  if (text.empty() || text.size() > 64 || !std::all_of(text.begin(), text.end(), is_name_character))
    return problem("is not a name; write 1 to 64 letters, digits, '.', '_' or '-', such as media");
  return std::string(text);
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& words) {
  std::string_view best;
  std::size_t least = word.size() / 3 + 2;  // further off than this it is another word, not a slip
  for (const auto candidate : words) {
    const std::size_t distance = edit_distance(word, candidate);
    // A word that was cut short or written too long is meant as well ("log" for "log-level").
    const bool prefix = word.size() >= 3 && (candidate.substr(0, word.size()) == word ||
                                             word.substr(0, candidate.size()) == candidate);
    const std::size_t rank = prefix ? std::min<std::size_t>(distance, 1) : distance;
    if (rank < least) {
      least = rank;
      best = candidate;
    }
  }
  return best;
}

}  // namespace rtpool::control
