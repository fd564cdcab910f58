#include "bench/call_run.h"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <system_error>

#include "bench/net.h"

namespace rtpool::bench {
namespace {

constexpr Duration kBetweenCalls = std::chrono::milliseconds(5);
// What is on its way when a call ends has this long to arrive; on one host it takes a few
// milliseconds.
constexpr Duration kDrainTime = std::chrono::milliseconds(400);
constexpr Duration kLiveGrace = std::chrono::milliseconds(200);
constexpr unsigned kRegistrationSeconds = 300;

volatile std::sig_atomic_t interrupted = 0;

double to_ms(Duration duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

}  // namespace

struct CallRun::Call {
  Call(const IpAddress& address, const Chirp& low, const Chirp& high, Random& random)
      : caller(address, low, random), callee(address, high, random) {
    caller.set_peer(&callee);
    callee.set_peer(&caller);
  }
  RtpPhone caller, callee;
  std::string call_id, callee_id;
  CallPhase phase = CallPhase::waiting;
  std::string problem;
  Instant place_at{}, placed{}, answered{}, until{};
  bool caller_connected = false, callee_connected = false, retried = false;
};

bool RunReport::whole() const {
  return problem.empty() && !calls.empty() &&
         std::ranges::all_of(calls, [](const CallReport& call) {
           return call.phase == CallPhase::over && call.forward.whole() && call.backward.whole();
         });
}

CallRun::CallRun(CallOptions options)
    : options_(std::move(options)),
      random_(options_.seed),
      caller_({options_.from, options_.address, options_.proxy}, *this, random_()),
      callee_({options_.to, options_.address, options_.proxy}, *this, random_()) {
  epoll_ = epoll_create1(EPOLL_CLOEXEC);
  if (epoll_ < 0) throw std::system_error(errno, std::generic_category(), "epoll_create1");
  watch(caller_.descriptor(), [this] { caller_.receive(now_); });
  watch(callee_.descriptor(), [this] { callee_.receive(now_); });
  for (unsigned i = 0; i < options_.calls; ++i) {
    calls_.push_back(std::make_unique<Call>(options_.address, low_, high_, random_));
    for (RtpPhone* phone : {&calls_.back()->caller, &calls_.back()->callee}) {
      watch(phone->rtp_descriptor(), [phone] { phone->receive_rtp(); });
      watch(phone->rtcp_descriptor(), [phone] { phone->receive_rtcp(); });
    }
  }
}

CallRun::~CallRun() {
  close(epoll_);
}

void CallRun::interrupt() {
  interrupted = 1;
}

void CallRun::watch(int descriptor, std::function<void()> ready) {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u64 = ready_.size();
  ready_.push_back(std::move(ready));
  if (epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor, &event) != 0) {
    throw std::system_error(errno, std::generic_category(), "epoll_ctl");
  }
}

RunReport CallRun::run(const Observer& observer, Duration observe_every) {
  started_ = now_ = monotonic_now();
  Instant observe_at = now_;
  if (options_.register_first) {
    register_both(now_);
  } else {
    begin(now_);
  }
  const auto busy = [this] {
    return registrations_wanted_ > 0 || std::ranges::any_of(calls_, [](const auto& call) {
             return call->phase != CallPhase::over && call->phase != CallPhase::failed;
           });
  };
  while (problem_.empty() && busy()) {
    Instant next = now_ + kPacketInterval;
    for (UserAgent* agent : {&caller_, &callee_}) {
      if (const auto at = agent->tick(now_)) next = std::min(next, *at);
    }
    for (auto& call : calls_) {
      drive(*call, now_);
      for (RtpPhone* phone : {&call->caller, &call->callee}) {
        if (const auto at = phone->tick(now_)) next = std::min(next, *at);
      }
    }
    if (now_ >= observe_at) {
      if (observer) observer(report(kLiveGrace));
      observe_at = now_ + observe_every;
    }
    wait(next);
  }
  RunReport final = report(Duration::zero());
  if (registered_) {  // take it back; nobody waits for the answer
    caller_.register_contact(0, now_);
    callee_.register_contact(0, now_);
  }
  return final;
}

void CallRun::wait(Instant until) {
  const auto left = std::max(until - monotonic_now(), Duration::zero());
  const timespec timeout{left.count() / 1'000'000'000, left.count() % 1'000'000'000};
  std::array<epoll_event, 256> events;
  const int count = epoll_pwait2(epoll_, events.data(), events.size(), &timeout, nullptr);
  now_ = monotonic_now();
  for (int i = 0; i < count; ++i) ready_[events[static_cast<std::size_t>(i)].data.u64]();
  now_ = monotonic_now();
}

RunReport CallRun::report(Duration grace) const {
  RunReport result;
  result.problem = problem_;
  result.seconds = to_ms(now_ - started_) / 1e3;
  for (const auto& call : calls_) {
    const bool answered = call->answered != Instant{};
    result.calls.push_back({call->phase, call->problem,
                            answered ? to_ms(call->answered - call->placed) : 0,
                            call->callee.heard(grace), call->caller.heard(grace)});
  }
  return result;
}

void CallRun::begin(Instant now) {
  for (auto& call : calls_) {
    call->place_at = now;
    now += kBetweenCalls;
  }
}

void CallRun::place(Call& call, Instant now) {
  call.phase = CallPhase::calling;
  call.placed = now;
  call.call_id =
      caller_.invite(options_.to, audio_sdp(options_.from, call.caller.local_rtp()), now);
}

void CallRun::drive(Call& call, Instant now) {
  switch (call.phase) {
    case CallPhase::waiting:
      if (interrupted != 0) return fail(call, "interrupted");
      if (registrations_wanted_ == 0 && now >= call.place_at) place(call, now);
      return;
    case CallPhase::calling:
    case CallPhase::ringing:
      if (call.caller_connected && call.callee_connected) start_talking(call);
      return;
    case CallPhase::talking:
      if (now < call.until && interrupted == 0) return;
      call.caller.stop();
      call.callee.stop();
      call.phase = CallPhase::draining;
      call.until = now + kDrainTime;
      return;
    case CallPhase::draining:
      if (now < call.until) return;
      call.phase = CallPhase::ending;
      return caller_.bye(call.call_id, now);
    case CallPhase::ending:
    case CallPhase::over:
    case CallPhase::failed:
      return;
  }
}

void CallRun::start_talking(Call& call) {
  call.phase = CallPhase::talking;
  call.until = now_ + options_.talk_time;
  call.caller.start(now_);
  call.callee.start(now_ + kPacketInterval / 2);
}

void CallRun::fail(Call& call, std::string why) {
  call.phase = CallPhase::failed;
  call.problem = std::move(why);
  call.caller.stop();
  call.callee.stop();
}

bool CallRun::connect(RtpPhone& phone, const std::string& sdp) const {
  const auto target = audio_target(sdp);
  if (target) phone.set_remote(target->rtp, target->rtcp);
  return target.has_value();
}

CallRun::Call* CallRun::find(const std::string& call_id) {
  for (auto& call : calls_) {
    if (call->call_id == call_id || call->callee_id == call_id) return call.get();
  }
  return nullptr;
}

// The call that an INVITE belongs to: of the same Call-ID or, where the proxy is a back-to-back
// user agent that made a new one, the first that has no callee yet.
CallRun::Call* CallRun::next_called(const std::string& call_id) {
  if (Call* same = find(call_id)) return same;
  const auto open = std::ranges::find_if(calls_, [](const auto& call) {
    return call->callee_id.empty() && call->phase == CallPhase::calling;
  });
  return open == calls_.end() ? nullptr : open->get();
}

void CallRun::register_both(Instant now) {
  registrations_wanted_ = 2;
  caller_.register_contact(kRegistrationSeconds, now);
  callee_.register_contact(kRegistrationSeconds, now);
}

std::optional<std::string> CallRun::on_invite(UserAgent& agent, const std::string& call_id,
                                              const std::string& sdp) {
  Call* call = &agent == &callee_ ? next_called(call_id) : nullptr;
  if (call == nullptr || !call->callee_id.empty() || !connect(call->callee, sdp)) {
    return std::nullopt;
  }
  call->callee_id = call_id;
  return audio_sdp(options_.to, call->callee.local_rtp());
}

void CallRun::on_ringing(UserAgent& agent, const std::string& call_id) {
  Call* call = &agent == &caller_ ? find(call_id) : nullptr;
  if (call != nullptr && call->phase == CallPhase::calling) call->phase = CallPhase::ringing;
}

void CallRun::on_connected(UserAgent& agent, const std::string& call_id, const std::string& sdp) {
  Call* call = find(call_id);
  if (call == nullptr) return;
  if (&agent == &callee_) {
    call->callee_connected = true;
    return;
  }
  call->answered = now_;
  call->caller_connected = connect(call->caller, sdp);
  if (!call->caller_connected) fail(*call, "the answer has no audio that could be sent to");
}

void CallRun::on_ended(UserAgent& agent, const std::string& call_id, int status,
                       const std::string& reason) {
  Call* call = find(call_id);
  if (call == nullptr || call->phase == CallPhase::failed || call->phase == CallPhase::over) return;
  if (call->phase == CallPhase::ending) {
    if (&agent != &caller_) return;  // the caller's own BYE; its answer ends the call
    if (status != 0) return fail(*call, "BYE refused: " + std::to_string(status) + " " + reason);
    call->phase = CallPhase::over;
    return;
  }
  const bool unknown = status == 404 || status == 480;
  if (&agent == &caller_ && unknown && !call->retried) {  // the proxy wants to know us first
    call->retried = true;
    call->phase = CallPhase::waiting;
    if (!registered_ && registrations_wanted_ == 0) register_both(now_);
    return;
  }
  fail(*call, status == 0 ? "hung up by the other side"
                          : "INVITE failed: " + std::to_string(status) + " " + reason);
}

void CallRun::on_registered(UserAgent& agent, int status, const std::string& reason) {
  if (registrations_wanted_ == 0) return;
  --registrations_wanted_;
  registered_ = true;
  if (status < 300 || !problem_.empty()) return;
  problem_ =
      "registration of " + agent.user() + " failed: " + std::to_string(status) + " " + reason;
}

}  // namespace rtpool::bench
