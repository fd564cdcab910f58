// The command line and the configuration file: what is taken, and the one line for what is not.
#include "control/app/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "control/app/errc.h"

namespace rtpool::control {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::Not;

Options parsed(const std::vector<std::string>& arguments) {
  auto options = parse_command_line(arguments);
  EXPECT_TRUE(options) << options.error().message();
  return options ? *options : Options{};
}

std::string refusal(const std::vector<std::string>& arguments) {
  const auto options = parse_command_line(arguments);
  if (options) return "(accepted)";
  EXPECT_EQ(options.error().code, make_error_code(AppErrc::usage));
  EXPECT_THAT(options.error().detail, Not(HasSubstr("\n"))) << "one line";
  return options.error().detail;
}

class ConfigFile : public ::testing::Test {
 protected:
  std::string write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  void TearDown() override { std::filesystem::remove(path_); }

  std::string path_ = (std::filesystem::temp_directory_path() /
                       ("rtpool-config-" + std::to_string(::getpid()) + ".toml"))
                          .string();
};

TEST(CommandLine, ServeHasTheDocumentedDefaults) {
  const Options o = parsed({"serve"});
  EXPECT_EQ(o.command, Command::serve);
  EXPECT_EQ(o.controller.ng.to_string(), "127.0.0.1:2223");
  EXPECT_EQ(o.registrar.listen.to_string(), "127.0.0.1:7400");
  EXPECT_EQ(o.relay.listen.to_string(), "127.0.0.1:7410");
  EXPECT_EQ(o.http->to_string(), "127.0.0.1:7480");
  EXPECT_EQ(o.relay.pool, "media");
  EXPECT_EQ(o.relay.engine.ports.first, 30000);
  EXPECT_EQ(o.relay.engine.ports.last, 39999);
  ASSERT_EQ(o.relay.engine.media_addresses.size(), 1U);
  EXPECT_EQ(o.relay.engine.media_addresses[0].local.to_string(), "127.0.0.1");
  EXPECT_TRUE(o.media_address_defaulted);
  EXPECT_GE(o.relay.engine.shards, 1U);
  EXPECT_FALSE(o.registrar.listen_given);
  EXPECT_FALSE(o.relay.id.empty());
}

TEST(CommandLine, AloneItPrintsHelp) {
  EXPECT_THAT(parsed({}).help, HasSubstr("rtpool serve"));
  EXPECT_EQ(parsed({}).command, Command::help);
  EXPECT_EQ(parsed({"--help"}).command, Command::help);
  EXPECT_EQ(parsed({"version"}).command, Command::version);
  EXPECT_EQ(parsed({"--version"}).command, Command::version);
}

TEST(CommandLine, HelpNamesEachOptionWithDefaultAndExample) {
  const std::string help = parsed({"serve", "--help"}).help;
  for (const auto* name : {"--ng HOST:PORT", "--media-address [NAME/]ADDRESS[!ADVERTISED]",
                           "--media-ports MIN-MAX", "--http HOST:PORT|off", "--pool NAME",
                           "--registrar-listen", "--relay-listen", "--config"}) {
    EXPECT_THAT(help, HasSubstr(name));
  }
  EXPECT_THAT(help, HasSubstr("Default: 127.0.0.1:2223."));
  EXPECT_THAT(help, HasSubstr("Example: --media-ports 20000-29999"));
  EXPECT_THAT(parsed({"relay", "--help"}).help, HasSubstr("Required."));
}

TEST(CommandLine, MediaAddressesHaveNamesAndAdvertisedTwins) {
  const Options o = parsed({"serve", "--media-address", "10.0.0.5", "--media-address",
                            "external/10.0.0.6!192.0.2.10", "--media-address=2001:db8::1"});
  const auto& a = o.relay.engine.media_addresses;
  ASSERT_EQ(a.size(), 3U);
  EXPECT_EQ(a[0].name, "default");
  EXPECT_EQ(a[1].name, "external");
  EXPECT_EQ(a[1].local.to_string(), "10.0.0.6");
  EXPECT_EQ(a[1].advertised.to_string(), "192.0.2.10");
  EXPECT_FALSE(a[2].local.is_v4());
  EXPECT_FALSE(o.media_address_defaulted);
}

TEST(CommandLine, RolesApartTakeTheirOptions) {
  const Options r = parsed({"relay",
                            "--id",
                            "r1",
                            "--pool",
                            "west",
                            "--registrar",
                            "127.0.0.1:1,localhost:2",
                            "--listen",
                            "127.0.0.1:0",
                            "--media-address",
                            "127.0.0.1",
                            "--media-ports",
                            "20000-20100",
                            "--http",
                            "off",
                            "--io",
                            "epoll",
                            "--cpu-affinity",
                            "0,2-3",
                            "--busy-poll",
                            "50us",
                            "--batch-window",
                            "200us",
                            "--port-rest",
                            "0",
                            "--max-calls",
                            "7",
                            "--shards",
                            "1",
                            "--policy",
                            "round-robin",
                            "--zone",
                            "z"});
  EXPECT_EQ(r.relay.id, "r1");
  EXPECT_EQ(r.relay.registrars, (std::vector<std::string>{"127.0.0.1:1", "localhost:2"}));
  EXPECT_FALSE(r.http);
  EXPECT_EQ(r.relay.engine.io, io::IoKind::epoll);
  EXPECT_EQ(r.relay.engine.cores, (std::vector<std::uint32_t>{0, 2, 3}));
  EXPECT_EQ(r.relay.engine.busy_poll, 50us);
  EXPECT_FALSE(parsed({"serve", "--io", "auto"}).relay.engine.io);
  EXPECT_EQ(r.relay.engine.batch_window, 200us);
  EXPECT_EQ(r.relay.engine.port_rest, 0s);
  EXPECT_EQ(r.relay.engine.max_calls, 7U);
  EXPECT_EQ(r.relay.policy, "round-robin");
  const Options c = parsed({"controller", "--ng", "[::1]:2223", "--media-timeout", "45s",
                            "--max-call-duration", "2h", "--setup-timeout", "0"});
  EXPECT_EQ(c.controller.ng.to_string(), "[::1]:2223");
  EXPECT_EQ(c.controller.media_timeout, 45s);
  EXPECT_EQ(c.controller.max_call_duration, 2h);
  EXPECT_EQ(c.controller.setup_timeout, 0s);
  EXPECT_EQ(parsed({"registrar", "--listen", "[::1]:7400", "--store", "memory",
                    "--heartbeat-interval", "10ms"})
                .registrar.heartbeat_interval,
            10ms);
}

struct Wrong {
  std::vector<std::string> arguments;
  std::string sentence;
};

TEST(CommandLine, EachWrongValueSaysWhatIsWrongAndWhatWouldBeRight) {
  const std::vector<Wrong> cases{
      {{"serve", "--media-ports", "x"},
       "--media-ports \"x\" is not a port range; write MIN-MAX, such as 30000-39999"},
      {{"serve", "--media-ports", "40000-30000"}, "first port above its last"},
      {{"serve", "--media-ports", "80-90"}, "below port 1024"},
      {{"serve", "--media-ports", "30001-30002"}, "holds no pair"},
      {{"serve", "--media-ports", "30000-70000"}, "is not a port range"},
      {{"serve", "--io", "dpdk"}, "--io \"dpdk\" is unknown; write auto, uring or epoll"},
      {{"serve", "--cpu-affinity", ""}, "is not a list of cores; write numbers and ranges"},
      {{"serve", "--cpu-affinity", "0,,1"}, "is not a list of cores"},
      {{"serve", "--cpu-affinity", "0-"}, "is not a list of cores"},
      {{"serve", "--cpu-affinity", "3-1"}, "first core is above its last"},
      {{"serve", "--cpu-affinity", "0-2,1"}, "names core 1 twice"},
      {{"serve", "--cpu-affinity", "0-99999999999"}, "names a core above 1023"},
      {{"serve", "--busy-poll", "50"}, "is not a duration"},
      {{"serve", "--busy-poll", "1s"}, "is out of range; write 1us to 10ms, or 0 for none"},
      {{"serve", "--ng", "2223"}, "is not an address and port; write HOST:PORT"},
      {{"serve", "--ng", "example.net:2223"}, "write a numeric one"},
      {{"serve", "--ng", "127.0.0.1:99999"}, "is not an address and port"},
      {{"serve", "--ng", "::1:2223"}, "is not an address and port"},
      {{"serve", "--ng", "off"}, "is not an address and port"},
      {{"serve", "--http", "on"}, "or off"},
      {{"serve", "--media-address", "relay.example.net"},
       "numeric IPv4 or IPv6 address; write [NAME/]ADDRESS"},
      {{"serve", "--media-address", "10.0.0.1!x"}, "after the '!'"},
      {{"serve", "--media-address", "10.0.0.1!2001:db8::1"}, "other IP version"},
      {{"serve", "--media-address", "0.0.0.0"}, "0.0.0.0, which no party can send media to"},
      {{"serve", "--media-address", "a b/10.0.0.1"}, "has a name that is not a name"},
      {{"serve", "--media-address", "10.0.0.1", "--media-address", "10.0.0.2"},
       "another address of that name"},
      {{"serve", "--media-timeout", "60"},
       "is not a duration; write a whole number with us, ms, s, m or h"},
      {{"serve", "--media-timeout", "1.5s"}, "is not a duration"},
      {{"serve", "--media-timeout", "10ms"}, "is out of range; write 1s to 24h, or 0 for none"},
      {{"serve", "--media-timeout", "99999999999999999999h"}, "is too long a time"},
      {{"serve", "--heartbeat-interval", "5s"}, "is out of range; write 10ms to 1s"},
      {{"serve", "--max-calls", "many"}, "is not a whole number; write one from 1 to 1000000"},
      {{"serve", "--max-calls", "0"}, "is out of range; write 1 to 1000000"},
      {{"serve", "--max-calls", "-1"}, "is not a whole number"},
      {{"serve", "--max-packets-per-second", "99"},
       "is out of range; write 100 to 1000000000, or 0 for no limit"},
      {{"serve", "--max-bandwidth", "10m"},
       "--max-bandwidth \"10m\" is not a bit rate; write a whole number, with k, M or G after it "
       "or "
       "not, such as 800M"},
      {{"serve", "--max-bandwidth", "100k"}, "is out of range; write 200k to 1000G, or 0 for none"},
      {{"serve", "--max-bandwidth", "1001G"}, "is out of range"},
      {{"serve", "--max-cpu", "101"}, "is out of range; write 0 to 100"},
      {{"serve", "--max-cpu", "85%"}, "is not a whole number; write one from 0 to 100"},
      {{"serve", "--log-level", "loud"}, "is unknown; write debug, info, warning, error or off"},
      {{"serve", "--log-format", "xml"}, "write text or json"},
      {{"serve", "--pool", "a/b"}, "is not a name"},
      {{"serve", "--policy", "best"}, "is no policy; write one of least-used-degradation"},
      {{"serve", "--store", "redis://x"}, "is no store; write memory, or etcd://HOST:PORT"},
      {{"registrar", "--store", "etcd://10.0.0.1"}, "endpoint '10.0.0.1' is not HOST:PORT"},
      {{"registrar", "--store", "etcd://u:secret@h:2379"},
       "--store \"etcd://...\" a password does not belong here"},
      {{"registrar", "--store", "etcd://h:2379?user=u&password=secret"},
       "--store \"etcd://...\" a password on the command line can be read by others"},
      {{"registrar", "--store", "etcd://h:2379?user=u"}, "user and password-file go together"},
      {{"relay", "--media-address", "127.0.0.1", "--registrar", "a:1,a:1"}, "names a:1 twice"},
      {{"relay", "--media-address", "127.0.0.1", "--registrar", "a"}, "is not a list of places"},
      {{"relay", "--media-address", "127.0.0.1", "--registrar", "a:1,b:1,c:1,d:1,e:1,f:1"},
       "more than 5 registrars"},
      {{"relay"}, "--media-address is required"},
      {{"relay", "--media-address", "127.0.0.1", "--listen", "0.0.0.0:7410", "--insecure"},
       "needs --advertise"},
      {{"registrar", "--listen", "0.0.0.0:7400"}, "--listen 0.0.0.0:7400 is not loopback"},
      {{"serve", "--relay-listen", "10.0.0.1:7410"},
       "--relay-listen 10.0.0.1:7410 is not loopback"},
      {{"controller", "--registrar", "10.0.0.1:7400"}, "say --insecure"},
      {{"controller", "--http", "0.0.0.0:7480"}, "--http 0.0.0.0:7480 is not loopback"},
      {{"controller", "--tls-key", "k"}, "--tls-certificate is missing"},
      {{"controller", "--tls-key", "k", "--tls-certificate", "c"}, "--tls-authority is missing"},
      {{"controller", "--tls-key", ""}, "is empty; write the path of a file"},
      {{"controller", "--tls-key", "k", "--tls-certificate", "c", "--tls-authority", "a",
        "--insecure"},
       "--insecure and TLS contradict each other"},
      {{"serve", "--media-port", "1-2"},
       "unknown option --media-port; did you mean --media-ports?"},
      {{"serve", "--nonsense"}, "unknown option --nonsense; `rtpool serve --help` lists them all"},
      {{"serve", "--registrar", "a:1"}, "--registrar is no option of `rtpool serve`"},
      {{"serve", "extra"}, "unexpected \"extra\""},
      {{"serve", "--ng"}, "--ng needs a value"},
      {{"serve", "--ng", "127.0.0.1:1", "--ng", "127.0.0.1:2"}, "--ng is given twice"},
      {{"server"}, "unknown command \"server\"; did you mean `rtpool serve`?"},
      {{"pool", "lst"}, "did you mean `rtpool pool list`?"},
      {{"pool", "shwo", "media"}, "did you mean `rtpool pool show`?"},
      {{"pool", "show"}, "POOL is missing: `rtpool pool show POOL`"},
      {{"pool", "show", "a b"}, "POOL \"a b\""},
      {{"pool", "show", "a", "b"},
       "unexpected \"b\"; `rtpool pool show` takes one POOL and --options"},
      {{"pool", "show", "a", "--http", "a:1"}, "--http is no option of `rtpool pool show`"},
      {{"call", "show", ""}, "CALL-ID is missing"},
      {{"call", "show", std::string(1025, 'x')}, "CALL-ID has 1025 bytes"},
      {{"call", "explain", "c1"}, "--from is required"},
      {{"call", "explain", "c1", "--from", "203.0.113.5"}, "is no IP:PORT"},
      {{"call", "explain", "c1", "--from", "203.0.113.5:0"}, "is no IP:PORT"},
      {{"call", "explain", "c1", "--from", "203.0.113.5:1", "--to", "0"}, "--to \"0\""},
      {{"call", "list", "--limit", "0"}, "--limit \"0\""},
      {{"drain", "--wait"}, "NAME is missing: `rtpool drain NAME`"},
      {{"drain", "r", "--timeout", "5s"}, "--timeout is for --wait"},
      {{"undrain", "r", "--wait"}, "unknown option --wait"},
      {{"frobnicate"}, "`rtpool --help` lists them"},
      {{"serve", "--config", "/nonexistent/rtpool.toml"},
       "can't be read: No such file or directory"},
      {{"serve", "--config", "/tmp"}, "can't be read"},
  };
  for (const Wrong& wrong : cases) {
    EXPECT_THAT(refusal(wrong.arguments), HasSubstr(wrong.sentence))
        << ::testing::PrintToString(wrong.arguments);
  }
}

TEST(CommandLine, OperatorsCommandsTakeTheirSubjectAnywhere) {
  Options o = parsed({"call", "explain", "--from", "[2001:db8::5]:4000", "4a1b@10.0.0.9", "--to",
                      "30012", "--json"});
  EXPECT_EQ(o.command, Command::call_explain);
  EXPECT_EQ(o.client.subject, "4a1b@10.0.0.9");
  EXPECT_EQ(o.client.from->to_string(), "[2001:db8::5]:4000");
  EXPECT_EQ(o.client.to_port, 30012);
  EXPECT_TRUE(o.client.json);
  EXPECT_EQ(parsed({"call", "show", "--", "--odd-call-id"}).client.subject, "--odd-call-id");
  o = parsed({"drain", "relay-7", "--wait", "--timeout", "2h", "--pool", "media"});
  EXPECT_EQ(o.client.subject, "relay-7");
  EXPECT_EQ(o.client.timeout, 2h);
  EXPECT_EQ(parsed({"call", "list"}).client.limit, 10'000U);
  for (const char* command : {"drain", "undrain"})
    EXPECT_THAT(parsed({command, "--help"}).help, HasSubstr("Exit status: 0,"));
  for (const char* word : {"list", "show", "watch"})
    EXPECT_THAT(parsed({"pool", word, "--help"}).help, HasSubstr("  rtpool pool "));
}

TEST(CommandLine, InsecureAllowsOtherAddressesThanLoopback) {
  EXPECT_TRUE(parse_command_line({"registrar", "--listen", "10.0.0.1:7400", "--insecure"}));
  EXPECT_TRUE(
      parse_command_line({"controller", "--registrar", "r.example.net:7400", "--insecure"}));
}

TEST(CommandLine, SoDoesTls) {
  const std::vector<std::string> tls{"--tls-certificate", "c",  "--tls-key", "k",
                                     "--tls-authority",   "ca", "--http",    "0.0.0.0:7480"};
  for (std::vector<std::string> role :
       {std::vector<std::string>{"registrar", "--listen", "10.0.0.1:7400"},
        {"controller", "--registrar", "r.example.net:7400"},
        {"relay", "--media-address", "10.0.0.1", "--listen", "10.0.0.1:7410"}}) {
    role.insert(role.end(), tls.begin(), tls.end());
    const Options o = parsed(role);
    EXPECT_EQ(o.tls_files, (pool::TlsFiles{"c", "k", "ca"}));
  }
}

TEST_F(ConfigFile, KeysAreTheOptionsNamesAndFlagsWin) {
  const auto path = write(
      "# a site\nng = \"127.0.0.1:9999\"\nmax-calls = 12\ninsecure = true\n"
      "media-address = [\"10.0.0.1\", \"external/10.0.0.2\"]\nmedia-timeout = \"30s\"\n");
  Options o = parsed({"serve", "--config", path});
  EXPECT_EQ(o.controller.ng.port, 9999);
  EXPECT_EQ(o.controller.max_calls, 12U);
  EXPECT_TRUE(o.insecure);
  EXPECT_EQ(o.relay.engine.media_addresses.size(), 2U);
  o = parsed({"serve", "--ng", "127.0.0.1:8888", "--config", path, "--media-address", "10.9.9.9"});
  EXPECT_EQ(o.controller.ng.port, 8888);
  ASSERT_EQ(o.relay.engine.media_addresses.size(), 1U)
      << "a list given by flags replaces the file's";
  EXPECT_EQ(o.controller.media_timeout, 30s);
}

TEST_F(ConfigFile, WrongFilesSayFileLineAndKey) {
  const auto says = [&](const std::string& text, const std::string& sentence) {
    EXPECT_THAT(refusal({"serve", "--config", write(text)}), HasSubstr(path_ + sentence)) << text;
  };
  says("\nmedia-prots = \"1-2\"\n", ":2: unknown key \"media-prots\"; did you mean media-ports?");
  says("zzzzzzzzzzz = 1\n",
       ":1: unknown key \"zzzzzzzzzzz\"; `rtpool serve --help` lists them all");
  says("registrar = \"a:1\"\n", ":1: unknown key \"registrar\": it is no option of `rtpool serve`");
  says("\n\nmedia-ports = \"x\"\n", ":3: media-ports \"x\" is not a port range; write MIN-MAX");
  says("media-ports = 5\n", ":1: media-ports \"5\" is not a port range");
  says("media-timeout = 1.5\n", ":1: media-timeout takes a string, such as \"60s\"");
  says("ng = [\"127.0.0.1:1\"]\n", ":1: ng takes one value, not an array");
  says("media-address = [1.5]\n", ":1: media-address takes an array of strings");
  says("[controller]\nng = \"127.0.0.1:1\"\n", ":1: unknown key \"controller\"");
  says("ng = \n", ":1: not TOML");
  says("ng = \"127.0.0.1:1\"\nng = \"127.0.0.1:2\"\n", ":2: not TOML");
}

TEST_F(ConfigFile, TheLogLevelIsReadAgainAndAWrongOneChangesNothing) {
  write("log-level = \"info\"\n");
  const Options o = parsed({"serve", "--config", path_});
  write("log-level = \"debug\"\n");
  EXPECT_EQ(*reload_log_level(o), Severity::debug);
  write("log-level = \"loud\"\n");
  EXPECT_FALSE(reload_log_level(o));
  write("[broken\n");
  EXPECT_FALSE(reload_log_level(o));
  write("log-level = \"debug\"\n");
  const Options flagged = parsed({"serve", "--config", path_, "--log-level", "error"});
  EXPECT_EQ(*reload_log_level(flagged), Severity::error) << "the flag wins here too";
}

TEST(Values, DurationsReadBackAsTheyAreWritten) {
  for (const auto* text : {"500us", "50ms", "10s", "5m", "2h", "0", "90s", "1500us"}) {
    const auto value = parse_duration(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(format_duration(*value), text);
  }
}

TEST(Values, BitRatesReadBackAsTheyAreWritten) {
  for (const auto* text : {"800M", "1G", "500k", "1500M", "0", "200001", "1000G"}) {
    const auto value = parse_bit_rate(text);
    ASSERT_TRUE(value) << text;
    EXPECT_EQ(format_bit_rate(*value), text);
  }
  EXPECT_EQ(*parse_bit_rate("2000k"), 2'000'000U);
  for (const auto* text :
       {"", "k", "1.5M", "10m", "1GB", "-1M", "99999999999999999999", "18446744073710M"}) {
    EXPECT_FALSE(parse_bit_rate(text)) << text;
  }
}

TEST(CommandLine, ARelayHasLimits) {
  const EngineOptions defaults = parsed({"serve"}).relay.engine;
  EXPECT_EQ(defaults.max_cpu_percent, 85U);
  EXPECT_EQ(defaults.max_packets_per_second, 0U) << "no limit";
  EXPECT_EQ(defaults.max_bits_per_second, 0U);
  const EngineOptions given =
      parsed({"relay", "--media-address", "127.0.0.1", "--max-packets-per-second", "150000",
              "--max-bandwidth", "800M", "--max-cpu", "70"})
          .relay.engine;
  EXPECT_EQ(given.max_cpu_percent, 70U);
  EXPECT_EQ(given.max_packets_per_second, 150'000U);
  EXPECT_EQ(given.max_bits_per_second, 800'000'000U);
}

TEST(Values, MediaAddressesReadBackAsTheyAreWritten) {
  for (const auto* text : {"10.0.0.1", "ext/10.0.0.1!192.0.2.1", "ext/2001:db8::1"}) {
    EXPECT_EQ(format_media_address(*parse_media_address(text)), text);
  }
}

}  // namespace
}  // namespace rtpool::control
