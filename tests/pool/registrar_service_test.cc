// The registrar and its clients over real gRPC on loopback. Times are measured and printed: they
// are what the project promises. The bounds asserted are wider, because a test machine may be busy.
#include "pool/registrar_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <memory>
#include <thread>

#include "pool/client.h"
#include "pool/proto/registrar.grpc.pb.h"

namespace rtpool::pool {
namespace {

using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

bool eventually(milliseconds timeout, const std::function<bool()>& condition) {
  const auto deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
  return true;
}

double percentile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size() - 1) + 0.5)];
}

std::unique_ptr<RegistrarServer> start_registrar(const std::string& listen = "127.0.0.1:0") {
  RegistrarServer::Options options;
  options.listen = listen;
  auto server = RegistrarServer::start(std::move(options));
  EXPECT_TRUE(server) << server.error().message();
  return server ? std::move(*server) : nullptr;
}

Registration registration_of(const std::string& name) {
  Registration registration;
  registration.pool = "media";
  registration.name = name;
  registration.endpoint = "127.0.0.1:7410";
  return registration;
}

std::unique_ptr<PoolElementClient> start_relay(const std::string& name,
                                               std::vector<std::string> registrars) {
  PoolElementClient::Options options;
  options.registrars = std::move(registrars);
  options.registration = registration_of(name);
  auto client = PoolElementClient::start(std::move(options));
  EXPECT_TRUE(client) << client.error().message();
  return std::move(*client);
}

std::unique_ptr<PoolUserClient> start_user(std::vector<std::string> registrars) {
  PoolUserClient::Options options;
  options.registrars = std::move(registrars);
  options.pool = "media";
  auto client = PoolUserClient::start(std::move(options));
  EXPECT_TRUE(client) << client.error().message();
  return std::move(*client);
}

bool names(const PoolUserClient& user, const std::string& name) {
  const auto view = user.view();
  return std::any_of(view.elements.begin(), view.elements.end(),
                     [&](const PoolElement& element) { return element.name == name; });
}

// A relay in a process of its own, which can be killed as a crash would. The program runs itself
// again with these arguments (see main), because gRPC does not survive a fork.
class RelayProcess {
 public:
  RelayProcess(const std::string& name, const std::string& registrars) {
    pid_ = ::fork();
    if (pid_ == 0) {
      ::execl("/proc/self/exe", "pool_net_test", "--relay", name.c_str(), registrars.c_str(),
              static_cast<char*>(nullptr));
      ::_exit(127);
    }
  }
  ~RelayProcess() { kill(); }
  RelayProcess(const RelayProcess&) = delete;
  RelayProcess& operator=(const RelayProcess&) = delete;

  void signal(int number) const { ::kill(pid_, number); }
  void kill() {
    if (pid_ <= 0) return;
    signal(SIGKILL);
    ::waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_ = -1;
};

// Where a registrar has listened a moment ago, and none does now.
std::string endpoint_without_registrar() {
  return start_registrar()->endpoint();
}

TEST(RegistrarService, ARelayThatRegistersIsSeenByAWatchingController) {
  const auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return user->in_contact(); }));
  EXPECT_FALSE(user->select());

  const auto begin = Clock::now();
  const auto relay = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return user->select().has_value(); }));
  std::printf("[ measured ] register to visible in a watch: %.1f ms\n", ms_since(begin));
  EXPECT_LT(ms_since(begin), 500);

  const auto chosen = user->select();
  ASSERT_TRUE(chosen);
  EXPECT_EQ(chosen->name, "r1");
  EXPECT_EQ(chosen->endpoint, "127.0.0.1:7410");
  EXPECT_TRUE(eventually(milliseconds(1000), [&] { return relay->epoch() == chosen->epoch; }));
}

TEST(RegistrarService, ARelayThatStopsLeavesTheViewAtOnce) {
  const auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  auto relay = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(user->wait_ready(milliseconds(2000)));
  ASSERT_TRUE(eventually(milliseconds(1000), [&] { return relay->state().registered == 1; }));

  const auto begin = Clock::now();
  relay->stop();
  const double stopped = ms_since(begin);
  ASSERT_TRUE(eventually(milliseconds(1000), [&] { return !names(*user, "r1"); }));
  std::printf("[ measured ] stop() %.1f ms, out of the view after %.1f ms\n", stopped,
              ms_since(begin));
  EXPECT_LT(stopped, 400);
}

TEST(RegistrarService, ACrashedRelayIsOutOfTheAnswersWithinTheBound) {
  const auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  const auto survivor = start_relay("survivor", {registrar->endpoint()});
  std::vector<double> avoided;
  std::vector<double> removed;
  for (int i = 0; i < 40; ++i) {
    RelayProcess relay("victim", registrar->endpoint());
    ASSERT_TRUE(eventually(milliseconds(5000), [&] {
      const auto view = user->view();
      return std::any_of(view.elements.begin(), view.elements.end(),
                         [](const PoolElement& e) { return e.name == "victim" && !e.suspect; });
    }));
    const auto begin = Clock::now();
    relay.kill();
    ASSERT_TRUE(eventually(milliseconds(2000), [&] {
      const auto view = user->view();
      return std::none_of(view.elements.begin(), view.elements.end(),
                          [](const PoolElement& e) { return e.name == "victim" && !e.suspect; });
    }));
    avoided.push_back(ms_since(begin));
    for (int n = 0; n < 4; ++n) EXPECT_EQ(user->select()->name, "survivor");
    ASSERT_TRUE(eventually(milliseconds(2000), [&] { return !names(*user, "victim"); }));
    removed.push_back(ms_since(begin));
  }
  std::printf("[ measured ] SIGKILL to no longer chosen: p50 %.1f ms, p99 %.1f ms\n",
              percentile(avoided, 0.5), percentile(avoided, 0.99));
  std::printf("[ measured ] SIGKILL to removed:          p50 %.1f ms, p99 %.1f ms\n",
              percentile(removed, 0.5), percentile(removed, 0.99));
  EXPECT_LT(percentile(avoided, 0.5), 20);
  EXPECT_LT(percentile(removed, 0.5), 60);
}

TEST(RegistrarService, AFrozenRelayIsOutOfTheAnswersWithinTheBoundAndComesBack) {
  const auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  const auto survivor = start_relay("survivor", {registrar->endpoint()});
  const RelayProcess relay("victim", registrar->endpoint());
  std::vector<double> removed;
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(eventually(milliseconds(5000), [&] { return names(*user, "victim"); }));
    const auto epoch = user->find("victim")->epoch;
    relay.signal(SIGSTOP);
    const auto begin = Clock::now();
    ASSERT_TRUE(eventually(milliseconds(3000), [&] { return !names(*user, "victim"); }));
    removed.push_back(ms_since(begin));
    relay.signal(SIGCONT);
    ASSERT_TRUE(eventually(milliseconds(5000), [&] { return names(*user, "victim"); }));
    // The same process, with the calls that it had.
    EXPECT_EQ(user->find("victim")->epoch, epoch);
  }
  std::printf("[ measured ] SIGSTOP to removed: p50 %.1f ms, max %.1f ms\n",
              percentile(removed, 0.5), percentile(removed, 1.0));
  EXPECT_LT(percentile(removed, 0.5), 250);
}

TEST(RegistrarService, ARestartedRegistrarHasEverybodyBackAndNoUserMissedThem) {
  auto registrar = start_registrar();
  const std::string endpoint = registrar->endpoint();
  const auto user = start_user({endpoint});
  std::vector<std::unique_ptr<PoolElementClient>> relays;
  for (int i = 0; i < 10; ++i) relays.push_back(start_relay("r" + std::to_string(i), {endpoint}));
  ASSERT_TRUE(eventually(milliseconds(3000), [&] { return user->view().elements.size() == 10; }));
  std::vector<std::uint64_t> epochs;
  for (const auto& relay : relays) {
    // The user may hear of a relay before the relay hears of its grant.
    ASSERT_TRUE(eventually(milliseconds(1000), [&] { return relay->state().registered == 1; }));
    epochs.push_back(relay->epoch());
  }

  std::atomic<bool> over = false;
  std::atomic<int> failed = 0;
  std::thread caller([&] {
    while (!over) {
      if (!user->select()) ++failed;
      std::this_thread::sleep_for(milliseconds(1));
    }
  });
  registrar.reset();
  std::this_thread::sleep_for(milliseconds(1500));  // backoffs are at their longest by now
  EXPECT_FALSE(user->in_contact());
  EXPECT_GT(user->view().age, milliseconds(1000));
  EXPECT_EQ(user->view().elements.size(), 10U);

  const auto begin = Clock::now();
  registrar = start_registrar(endpoint);
  ASSERT_NE(registrar, nullptr);
  ASSERT_TRUE(eventually(milliseconds(5000),
                         [&] { return registrar->counts().elements == 10 && user->in_contact(); }));
  std::printf("[ measured ] registrar back, all relays registered again: %.0f ms\n",
              ms_since(begin));
  EXPECT_LT(ms_since(begin), 2000);
  std::this_thread::sleep_for(milliseconds(1300));  // past the settling of the new registrar
  EXPECT_EQ(user->view().elements.size(), 10U);
  over = true;
  caller.join();
  EXPECT_EQ(failed, 0);
  for (std::size_t i = 0; i < relays.size(); ++i) EXPECT_EQ(relays[i]->epoch(), epochs[i]);
}

TEST(RegistrarService, OfTwoRegistrarsOneMayDieWithoutAGap) {
  auto first = start_registrar();
  const auto second = start_registrar();
  const std::vector<std::string> both = {first->endpoint(), second->endpoint()};
  const auto user = start_user(both);
  const auto relay = start_relay("r1", both);
  ASSERT_TRUE(eventually(milliseconds(3000), [&] {
    return relay->state().registered == 2 && user->view().registrars_in_contact == 2;
  }));
  // Each with a store of its own, they agree on the epoch by the relay's mediation.
  ASSERT_TRUE(eventually(milliseconds(1000), [&] {
    const auto a = first->list("media");
    const auto b = second->list("media");
    return a.size() == 1 && b.size() == 1 &&
           a[0].elements[0].element.epoch == b[0].elements[0].element.epoch;
  }));

  first.reset();
  for (int i = 0; i < 500; ++i) {
    ASSERT_TRUE(user->select()) << "after " << i << " ms";
    std::this_thread::sleep_for(milliseconds(1));
  }
  EXPECT_TRUE(user->in_contact());
  EXPECT_LT(user->view().age, milliseconds(300));
  const auto newcomer = start_relay("r2", both);
  EXPECT_TRUE(eventually(milliseconds(2000), [&] { return names(*user, "r2"); }));
}

TEST(RegistrarService, ClientsMayComeBeforeTheRegistrar) {
  const std::string endpoint = endpoint_without_registrar();
  const auto user = start_user({endpoint});
  const auto relay = start_relay("r1", {endpoint});
  EXPECT_FALSE(user->wait_ready(milliseconds(100)));
  const auto registrar = start_registrar(endpoint);
  EXPECT_TRUE(user->wait_ready(milliseconds(3000)));
}

TEST(RegistrarService, ClientsStopFastWithoutARegistrar) {
  const std::string endpoint = endpoint_without_registrar();
  auto user = start_user({endpoint});
  auto relay = start_relay("r1", {endpoint});
  std::this_thread::sleep_for(milliseconds(300));
  const auto begin = Clock::now();
  user->stop();
  relay->stop();
  EXPECT_LT(ms_since(begin), 400);
  EXPECT_EQ(user->select().error().code, make_error_code(Errc::none_available));
}

TEST(RegistrarService, ADrainedRelayIsPassedOverEvenAfterTheRegistrarRestarts) {
  auto registrar = start_registrar();
  const std::string endpoint = registrar->endpoint();
  const auto user = start_user({endpoint});
  const auto relay = start_relay("r1", {endpoint});
  ASSERT_TRUE(user->wait_ready(milliseconds(2000)));

  ASSERT_TRUE(set_drained(endpoint, "media", "r1", true, milliseconds(1000)));
  ASSERT_TRUE(eventually(milliseconds(1000), [&] { return !user->select(); }));
  EXPECT_TRUE(names(*user, "r1")) << "its calls still need it";
  ASSERT_TRUE(eventually(milliseconds(1000), [&] { return relay->state().drained; }));

  registrar.reset();
  registrar = start_registrar(endpoint);
  ASSERT_TRUE(eventually(milliseconds(3000), [&] {
    const auto pools = list_pools(endpoint, "media", milliseconds(1000));
    return pools && !pools->empty() && (*pools)[0].elements[0].element.drained;
  }));
  ASSERT_TRUE(set_drained(endpoint, "media", "r1", false, milliseconds(1000)));
  EXPECT_TRUE(user->wait_ready(milliseconds(2000)));
}

TEST(RegistrarService, AnUnreachableReportShunsTheRelayAtOnce) {
  const auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  const auto one = start_relay("r1", {registrar->endpoint()});
  const auto two = start_relay("r2", {registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(3000), [&] { return user->view().elements.size() == 2; }));

  user->report_unreachable(element_id("r1"));

  for (int i = 0; i < 50; ++i) EXPECT_EQ(user->select()->name, "r2");
  EXPECT_TRUE(eventually(milliseconds(1000), [&] { return registrar->counts().reports == 1; }));
  const std::vector<PoolElementId> tried = {element_id("r2")};
  EXPECT_EQ(user->select(tried)->name, "r1") << "the last resort";
}

TEST(RegistrarService, ASecondProcessUnderTheSameNameTakesItOver) {
  const auto registrar = start_registrar();
  const auto old = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return old->state().registered == 1; }));
  const auto young = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return young->state().registered == 1; }));

  EXPECT_GT(young->epoch(), old->epoch());
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return old->state().refused.has_value(); }));
  EXPECT_EQ(old->state().refused->code, make_error_code(Errc::stale_epoch));
  std::this_thread::sleep_for(milliseconds(700));  // the old one has tried again by now
  EXPECT_EQ(registrar->list("media")[0].elements[0].element.epoch, young->epoch());
}

TEST(RegistrarService, AnotherPolicyIsRefusedAndSaysWhy) {
  const auto registrar = start_registrar();
  const auto first = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(eventually(milliseconds(2000), [&] { return first->state().registered == 1; }));
  PoolElementClient::Options options;
  options.registrars = {registrar->endpoint()};
  options.registration = registration_of("r2");
  options.registration.policy = Policy::round_robin;
  const auto second = PoolElementClient::start(std::move(options));
  ASSERT_TRUE(second);
  ASSERT_TRUE(
      eventually(milliseconds(2000), [&] { return (*second)->state().refused.has_value(); }));
  EXPECT_EQ((*second)->state().refused->code, make_error_code(Errc::policy_mismatch));
  EXPECT_EQ(registrar->counts().elements, 1U);
}

// A client of the raw protocol, as a stranger would be.
class Stranger {
 public:
  explicit Stranger(const std::string& endpoint)
      : stub_(v1::Registrar::NewStub(
            grpc::CreateChannel(endpoint, grpc::InsecureChannelCredentials()))) {}

  grpc::Status serve(const v1::ServeRequest& request) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + milliseconds(1500));
    const auto stream = stub_->Serve(&context);
    stream->Write(request);
    v1::ServeReply reply;
    const bool answered = stream->Read(&reply);
    if (answered) context.TryCancel();
    return stream->Finish();
  }

 private:
  std::unique_ptr<v1::Registrar::Stub> stub_;
};

TEST(RegistrarService, ForgedAndOversizedRegistrationsAreRefusedAndChangeNothing) {
  const auto registrar = start_registrar();
  Stranger stranger(registrar->endpoint());
  const auto forged = [](auto change) {
    v1::ServeRequest request;
    v1::Registration& registration = *request.mutable_registration();
    registration.set_pool("media");
    registration.set_name("r1");
    registration.set_endpoint("127.0.0.1:7410");
    registration.set_policy(static_cast<std::uint32_t>(Policy::least_used_degradation));
    registration.set_incarnation(7);
    change(registration);
    return request;
  };
  const std::vector<std::pair<v1::ServeRequest, grpc::StatusCode>> cases = {
      {forged([](auto& r) { r.set_pool(""); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_pool("a b"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_name(std::string(65, 'x')); }),
       grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_name("r1\n"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_zone("../etc"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_endpoint("host"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_endpoint("host:0"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_endpoint("host:70000"); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_policy(99); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_incarnation(0); }), grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.mutable_values()->set_weight(2'000'000'000); }),
       grpc::StatusCode::INVALID_ARGUMENT},
      {forged([](auto& r) { r.set_name(std::string(100 * 1024, 'x')); }),
       grpc::StatusCode::RESOURCE_EXHAUSTED},
      {v1::ServeRequest{}, grpc::StatusCode::INVALID_ARGUMENT},
  };
  for (const auto& [request, code] : cases) {
    EXPECT_EQ(stranger.serve(request).error_code(), code)
        << request.ShortDebugString().substr(0, 200);
  }
  v1::ServeRequest heartbeat_first;
  heartbeat_first.mutable_heartbeat()->set_load(1);
  EXPECT_EQ(stranger.serve(heartbeat_first).error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(registrar->counts().elements, 0U);
  EXPECT_EQ(registrar->counts().registrations, 0U);
}

TEST(RegistrarService, ABusyOrForeignAddressIsAnError) {
  const auto registrar = start_registrar();
  RegistrarServer::Options busy;
  busy.listen = registrar->endpoint();
  const auto second = RegistrarServer::start(std::move(busy));
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, make_error_code(Errc::bind_failed));
  EXPECT_THAT(second.error().message(), testing::HasSubstr(registrar->endpoint()));

  RegistrarServer::Options foreign;
  foreign.listen = "192.0.2.1:7400";
  EXPECT_FALSE(RegistrarServer::start(std::move(foreign)));
  RegistrarServer::Options nonsense;
  nonsense.listen = "7400";
  EXPECT_FALSE(RegistrarServer::start(std::move(nonsense)));
}

TEST(RegistrarService, AServerWithClientsStopsFast) {
  auto registrar = start_registrar();
  const auto user = start_user({registrar->endpoint()});
  const auto relay = start_relay("r1", {registrar->endpoint()});
  ASSERT_TRUE(user->wait_ready(milliseconds(2000)));
  const auto begin = Clock::now();
  registrar->stop();
  std::printf("[ measured ] registrar stop: %.1f ms\n", ms_since(begin));
  EXPECT_LT(ms_since(begin), 500);
}

TEST(RegistrarService, AChangeReachesEveryWatchersCache) {
  const auto registrar = start_registrar();
  std::vector<std::unique_ptr<PoolUserClient>> users;
  for (int i = 0; i < 20; ++i) users.push_back(start_user({registrar->endpoint()}));
  std::vector<std::unique_ptr<PoolElementClient>> relays;
  for (int i = 0; i < 20; ++i) {
    relays.push_back(start_relay("r" + std::to_string(i), {registrar->endpoint()}));
  }
  for (const auto& user : users) {
    ASSERT_TRUE(eventually(milliseconds(5000), [&] { return user->view().elements.size() == 20; }));
  }
  const auto begin = Clock::now();
  ASSERT_TRUE(set_drained(registrar->endpoint(), "media", "r3", true, milliseconds(1000)));
  for (const auto& user : users) {
    ASSERT_TRUE(eventually(milliseconds(1000), [&] {
      const auto view = user->view();
      return std::any_of(view.elements.begin(), view.elements.end(),
                         [](const PoolElement& e) { return e.name == "r3" && e.drained; });
    }));
  }
  std::printf("[ measured ] drain to all of 20 caches: %.1f ms\n", ms_since(begin));
}

}  // namespace

int relay_main(const char* name, const char* registrar) {
  const auto relay = start_relay(name, {registrar});
  const pid_t parent = ::getppid();
  while (::getppid() == parent) std::this_thread::sleep_for(milliseconds(50));
  return 0;
}

}  // namespace rtpool::pool

int main(int argc, char** argv) {
  if (argc == 4 && std::string_view(argv[1]) == "--relay") {
    return rtpool::pool::relay_main(argv[2], argv[3]);
  }
  testing::InitGoogleMock(&argc, argv);
  return RUN_ALL_TESTS();
}
