// `rtpool drain` and `rtpool undrain`.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>

#include "control/app/operator/commands.h"
#include "control/app/operator/pool_table.h"
#include "control/app/operator/registrars.h"
#include "control/app/operator/terminal.h"
#include "control/app/roles/role.h"
#include "pool/client.h"
#include "pool/errc.h"

namespace rtpool::control {
namespace {

using nlohmann::json;
using Clock = std::chrono::steady_clock;

constexpr auto kShownWithin = std::chrono::seconds(2);
constexpr auto kLookEvery = std::chrono::milliseconds(50);
constexpr auto kCountEvery = std::chrono::milliseconds(500);
constexpr auto kSilenceWithin = std::chrono::seconds(10);  // of all registrars, while waiting
constexpr std::size_t kMostNamed = 20;

// What one registrar made of the order.
struct Order {
  std::string registrar;
  std::string error;   // empty: taken
  bool shown = false;  // its list says so
};

class DrainCommand {
 public:
  DrainCommand(const ClientOptions& options, bool drained)
      : options_(options), drained_(drained), name_(drained ? "drain" : "undrain") {}

  int run();

 private:
  // Finds the relay's pool, or says why not.
  std::optional<int> find_pool();
  void order();
  void wait_until_shown();
  int wait_until_empty();
  void look(const std::vector<RegistrarAnswer>& answers);
  [[nodiscard]] int report(int status) const;
  [[nodiscard]] bool all_shown() const {
    return std::all_of(orders_.begin(), orders_.end(),
                       [](const Order& order) { return !order.error.empty() || order.shown; });
  }

  const ClientOptions& options_;
  bool drained_;
  std::string_view name_;
  std::string pool_;
  std::vector<Order> orders_;
  std::optional<std::uint64_t> calls_;  // none: no registrar that answers has the relay
};

std::optional<int> DrainCommand::find_pool() {
  const Fleet fleet = merge(ask_registrars(options_, options_.pool));
  if (fleet.answering() == 0) return fail(name_, "no registrar answers: " + fleet.trouble());
  std::vector<std::string> pools;
  std::string others;
  std::size_t count = 0;
  for (const SeenPool& pool : fleet.pools) {
    for (const SeenElement& seen : pool.elements) {
      if (seen.element.name == options_.subject) {
        pools.push_back(pool.pool);
      } else if (++count <= kMostNamed) {
        others += (others.empty() ? "" : ", ") + seen.element.name;
      }
    }
  }
  if (count > kMostNamed) others += " and " + std::to_string(count - kMostNamed) + " more";
  if (pools.empty())
    return fail(name_,
                "no relay \"" + options_.subject + "\"" +
                    (options_.pool.empty() ? "" : " in pool " + options_.pool) + "; there is " +
                    (others.empty() ? "none" : others),
                kNotFound);
  if (pools.size() > 1)
    return fail(name_,
                "relay " + options_.subject + " is in the pools " + pools[0] + " and " + pools[1] +
                    "; say --pool",
                kWrongUsage);
  pool_ = pools.front();
  return std::nullopt;
}

void DrainCommand::order() {
  orders_.resize(options_.registrars.size());
  in_parallel(orders_.size(), orders_.size(), [&](std::size_t i) {
    orders_[i].registrar = options_.registrars[i];
    const auto done = pool::set_drained(options_.registrars[i], pool_, options_.subject, drained_,
                                        kRegistrarPatience, options_.tls);
    if (!done) orders_[i].error = sentence_of(done.error());
  });
}

void DrainCommand::look(const std::vector<RegistrarAnswer>& answers) {
  calls_.reset();
  for (std::size_t i = 0; i < answers.size(); ++i) {
    if (!answers[i].pools) continue;
    for (const pool::ListedPool& pool : *answers[i].pools) {
      if (pool.pool != pool_) continue;
      for (const auto& listed : pool.elements) {
        const auto& element = listed.element;
        if (element.name != options_.subject) continue;
        orders_[i].shown = element.drained == drained_;
        calls_ = std::max<std::uint64_t>(calls_.value_or(0), element.calls);
      }
    }
  }
}

void DrainCommand::wait_until_shown() {
  const auto until = Clock::now() + kShownWithin;
  while (true) {
    look(ask_once(options_, pool_, kRegistrarPatience));
    if (all_shown() || Clock::now() >= until) return;
    std::this_thread::sleep_for(kLookEvery);
  }
}

int DrainCommand::wait_until_empty() {
  const auto began = Clock::now();
  auto heard = began;
  const bool progress = is_terminal() && !options_.json;
  while (true) {
    const auto answers = ask_once(options_, pool_, kRegistrarPatience);
    const auto now = Clock::now();
    if (std::any_of(answers.begin(), answers.end(),
                    [](const auto& answer) { return answer.pools.has_value(); })) {
      heard = now;
      look(answers);
      if (progress) {
        std::printf("\r%s has %s\x1b[K", options_.subject.c_str(),
                    counted(calls_.value_or(0), "call").c_str());
        std::fflush(stdout);
      }
      if (calls_.value_or(0) == 0) break;
    } else if (now - heard > kSilenceWithin) {
      if (progress) std::printf("\n");
      return fail(name_, "no registrar answers any more");
    }
    if (options_.timeout > Duration{} && now - began >= options_.timeout) {
      if (progress) std::printf("\n");
      warn(name_, "--timeout has run out before the last call ended");
      return report(kPartly);
    }
    std::this_thread::sleep_for(kCountEvery);
  }
  if (progress) std::printf("\r\x1b[K");
  return report(0);
}

int DrainCommand::report(int status) const {
  std::string where;
  json registrars = json::array();
  bool all = true;
  for (const Order& order : orders_) {
    const bool done = order.error.empty() && (order.shown || !calls_);
    all = all && done;
    if (done) where += (where.empty() ? "" : ", ") + order.registrar;
    registrars.push_back({{"registrar", order.registrar}, {"done", done}, {"error", order.error}});
    if (!order.error.empty()) {
      warn(name_, order.registrar + " was not told: " + order.error);
    } else if (!done) {
      warn(name_, order.registrar + " was told and does not show it yet");
    }
  }
  if (status == 0 && !all) status = kPartly;
  const std::string left = calls_ ? counted(*calls_, "call") : "left the pool";
  if (options_.json) {
    const json calls = calls_ ? json(*calls_) : json(nullptr);
    std::fputs(dump({{"relay", options_.subject},
                     {"pool", pool_},
                     {"drained", drained_},
                     {"complete", all},
                     {"calls", calls},
                     {"registrars", std::move(registrars)}})
                   .c_str(),
               stdout);
  } else if (!where.empty()) {
    std::printf("%s in pool %s is %s at %s; it has %s\n", options_.subject.c_str(), pool_.c_str(),
                drained_ ? "drained" : "open for new calls", where.c_str(), left.c_str());
  }
  return status;
}

int DrainCommand::run() {
  if (const auto status = find_pool()) return *status;
  order();
  if (std::all_of(orders_.begin(), orders_.end(),
                  [](const Order& order) { return !order.error.empty(); }))
    return fail(name_, "no registrar took the order: " + orders_.front().registrar + ": " +
                           orders_.front().error);
  wait_until_shown();
  return options_.wait ? wait_until_empty() : report(0);
}

}  // namespace

int set_drained(const ClientOptions& options, bool drained) {
  return DrainCommand(options, drained).run();
}

}  // namespace rtpool::control
