// The options of the data plane: addresses, ports, shards, and how a shard forwards.
#include <algorithm>

#include "control/app/option_parts.h"
#include "relay/base/cores.h"

namespace rtpool::control {
namespace {

using std::chrono::hours;
using std::chrono::microseconds;
using std::chrono::milliseconds;

using enum Command;

Result<io::PathMtu> parse_path_mtu(std::string_view text) {
  auto word = one_of({"kernel", "probe"})(text);
  if (!word) return word.error();
  return *word == "probe" ? io::PathMtu::probe : io::PathMtu::kernel;
}

Result<std::optional<io::IoKind>> parse_io(std::string_view text) {
  auto word = one_of({"auto", "uring", "epoll"})(text);
  if (!word) return word.error();
  if (*word == "auto") return std::optional<io::IoKind>{};
  return std::optional(*word == "uring" ? io::IoKind::uring : io::IoKind::epoll);
}

}  // namespace

std::uint32_t default_shards() {
  return std::max(1U, static_cast<std::uint32_t>(rtpool::usable_cores().size()));
}

void add_media(Options& o, std::vector<Row>& rows) {
  auto& engine = o.relay.engine;
  rows.push_back({{relay, serve},
                  {.name = "media-address",
                   .value_name = "[NAME/]ADDRESS[!ADVERTISED]",
                   .help = "An address of this host that parties send media to, IPv4 or IPv6. NAME "
                           "is what the proxy's "
                           "`direction` flags use (none: the default one); ADVERTISED is what the "
                           "SDP says where a "
                           "1:1 NAT stands in between. `serve` uses 127.0.0.1 when none is given.",
                   .example = "external/10.0.0.5!192.0.2.10",
                   .repeatable = true,
                   .set = setter(parse_media_address,
                                 [&engine](MediaAddress a) {
                                   engine.media_addresses.push_back(std::move(a));
                                 }),
                   .show =
                       [&engine] {
                         std::vector<std::string> list;
                         for (const auto& a : engine.media_addresses)
                           list.push_back(format_media_address(a));
                         return join(list);
                       },
                   .clear = [&engine] { engine.media_addresses.clear(); }}});
  rows.push_back({{relay, serve},
                  {.name = "media-ports",
                   .value_name = "MIN-MAX",
                   .help = "The UDP ports that media is received on. A call of two parties takes "
                           "four, or two pairs.",
                   .example = "20000-29999",
                   .set = setter(parse_port_range, [&engine](PortRange r) { engine.ports = r; }),
                   .show = [&engine] { return format_port_range(engine.ports); }}});
  rows.push_back(
      {{relay, serve},
       {.name = "prebound-ports",
        .value_name = "NUMBER",
        .help = "Pairs of ports that are bound ahead of need at each media address, so that no "
                "call waits for them; at most a quarter of --media-ports. 0: bound when needed.",
        .example = "1024",
        .set = setter(
            number_within(0, 4096),
            [&engine](std::uint64_t n) { engine.prebound_ports = static_cast<std::uint32_t>(n); }),
        .show = [&engine] { return std::to_string(engine.prebound_ports); }}});
  rows.push_back(
      {{relay, serve},
       {.name = "shards",
        .value_name = "NUMBER",
        .help = "Threads that forward media, each with a ring of its own; one a core is right.",
        .example = "4",
        .set =
            setter(number_within(1, 256),
                   [&engine](std::uint64_t n) { engine.shards = static_cast<std::uint32_t>(n); }),
        .show = [&engine] { return std::to_string(engine.shards); }}});
  rows.push_back(
      {{relay, serve},
       {.name = "io",
        .value_name = "auto|uring|epoll",
        .help = "How media goes in and out. uring: by io_uring, which takes less CPU and Linux 6.1 "
                "or later; where it is forbidden that is an error. epoll: a system call a packet, "
                "which works everywhere. auto: uring, or epoll and a warning where uring can't be "
                "had.",
        .example = "epoll",
        .set = setter(parse_io, [&engine](std::optional<io::IoKind> kind) { engine.io = kind; }),
        .show = [&engine] {
          return std::string(engine.io ? io::to_string(*engine.io) : "auto");
        }}});
  rows.push_back(
      {{relay, serve},
       {.name = "cpu-affinity",
        .value_name = "LIST",
        .help = "Processor cores that the shards are pinned to, one each, in turn. Without it the "
                "system moves them about.",
        .example = "0,2-3",
        .set =
            setter(parse_cores,
                   [&engine](std::vector<std::uint32_t> list) { engine.cores = std::move(list); }),
        .show = [&engine] { return format_cores(engine.cores); }}});
  rows.push_back(
      {{relay, serve},
       duration_option(
           "busy-poll",
           "How long a shard asks the network cards for packets itself before it sleeps. Saves "
           "some microseconds of delay and takes the whole core; 0 is not at all. Linux 6.9 or "
           "later.",
           "50us", engine.busy_poll, microseconds(1), milliseconds(10), true)});
  rows.push_back(
      {{relay, serve},
       duration_option(
           "batch-window",
           "The longest that a packet waits for others, so that one wake-up serves many; 0 "
           "forwards each at once and costs more CPU. Only used under load.",
           "200us", engine.batch_window, microseconds(50), milliseconds(10), true)});
  rows.push_back({{relay, serve},
                  duration_option("port-rest",
                                  "How long a released port is not used again, so that late "
                                  "packets of one call do not reach another.",
                                  "10s", engine.port_rest, milliseconds(100), hours(1), true)});
  rows.push_back(
      {{relay, serve},
       duration_option(
           "learning-window",
           "How long after its address was signalled a party behind a NAT may show where it "
           "really sends from.",
           "5s", engine.learning_window, milliseconds(100), std::chrono::minutes(5), false)});
  rows.push_back(
      {{relay, serve},
       {.name = "path-mtu",
        .value_name = "MODE",
        .help = "What is done about packets too long for a link. kernel: as the system does for "
                "all programs, routers' reports are believed and packets broken up. probe: never "
                "broken up, reports are not believed, so that nobody can forge them; what is too "
                "long is lost.",
        .example = "probe",
        .set = setter(parse_path_mtu, [&engine](io::PathMtu mode) { engine.path_mtu = mode; }),
        .show = [&engine] {
          return std::string(engine.path_mtu == io::PathMtu::probe ? "probe" : "kernel");
        }}});
  rows.push_back(
      {{relay, serve},
       {.name = "connected-sends",
        .value_name = "on|off",
        .help = "Under load, a stream whose party stays where it is sends from a second, connected "
                "socket on the same port, which costs less CPU and 3 KiB of kernel memory. Linux "
                "6.14 or later.",
        .example = "off",
        .set =
            setter(one_of({"on", "off"}),
                   [&engine](const std::string& word) { engine.connected_sends = word == "on"; }),
        .show = [&engine] { return std::string(engine.connected_sends ? "on" : "off"); }}});
}

}  // namespace rtpool::control
