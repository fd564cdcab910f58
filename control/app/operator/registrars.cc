#include "control/app/operator/registrars.h"

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <thread>

#include "control/app/roles/pool_json.h"
#include "pool/client.h"

namespace rtpool::control {
namespace {

constexpr std::chrono::milliseconds kSecondPatience{2000};

// What one registrar says of one relay.
struct Testimony {
  const RegistrarAnswer* who = nullptr;
  const pool::ListedElement* listed = nullptr;
};

// "drained (a:1), up (b:1 and c:1)"; empty where all say the same.
template <class Describe>
std::string difference(const std::vector<Testimony>& all, Describe describe) {
  std::map<std::string, std::string> places;
  for (const Testimony& one : all) {
    std::string& list = places[describe(one.listed->element)];
    list += (list.empty() ? "" : " and ") + one.who->registrar;
  }
  if (places.size() < 2) return "";
  std::string out;
  for (const auto& [what, where] : places)
    out += (out.empty() ? "" : ", ") + what + " (" + where + ")";
  return out;
}

SeenElement merge_element(const std::vector<Testimony>& all) {
  const auto newest = std::max_element(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.listed->element.epoch < b.listed->element.epoch;
  });
  SeenElement seen{.element = newest->listed->element, .last_heard_ago = Duration::max()};
  for (const Testimony& one : all) {
    const pool::PoolElement& element = one.listed->element;
    if (element.epoch != seen.element.epoch) continue;
    seen.element.suspect = seen.element.suspect && element.suspect;
    seen.element.damped = seen.element.damped && element.damped;
    seen.element.drained = seen.element.drained || element.drained;
    if (one.listed->last_heard_ago < seen.last_heard_ago) {
      seen.last_heard_ago = one.listed->last_heard_ago;
      seen.element.load = element.load;
      seen.element.calls = element.calls;
    }
    seen.reports = std::max(seen.reports, one.listed->reports);
  }
  return seen;
}

void add_differences(SeenPool& pool, const std::string& name, const std::vector<Testimony>& all,
                     const std::vector<const RegistrarAnswer*>& answering) {
  std::string missing;
  for (const RegistrarAnswer* answer : answering) {
    const bool knows = std::any_of(all.begin(), all.end(),
                                   [&](const Testimony& one) { return one.who == answer; });
    if (!knows) missing += (missing.empty() ? "" : " and ") + answer->registrar;
  }
  if (!missing.empty()) pool.differences.push_back(name + " is not known at " + missing);
  const auto add = [&](const std::string& what) {
    if (!what.empty()) pool.differences.push_back(name + " is " + what);
  };
  add(difference(all, [](const auto& e) { return "of epoch " + std::to_string(e.epoch); }));
  add(difference(all, [](const auto& e) { return std::string(state_of(e)); }));
  add(difference(all, [](const auto& e) { return "reached at " + e.endpoint; }));
}

SeenPool merge_pool(const std::string& name, const std::vector<const RegistrarAnswer*>& answering) {
  SeenPool seen{.pool = name};
  std::map<std::string, std::vector<Testimony>> by_name;
  std::map<pool::Policy, std::string> policies;
  for (const RegistrarAnswer* answer : answering) {
    for (const pool::ListedPool& pool : *answer->pools) {
      if (pool.pool != name) continue;
      seen.policy = pool.policy;
      seen.panic = seen.panic || pool.panic;
      policies[pool.policy] += " " + answer->registrar;
      for (const auto& listed : pool.elements)
        by_name[listed.element.name].push_back({answer, &listed});
    }
  }
  if (policies.size() > 1) {
    for (const auto& [policy, where] : policies)
      seen.differences.push_back("the policy is " + std::string(pool::name_of(policy)) + " at" +
                                 where);
  }
  for (const auto& [element, all] : by_name) {
    seen.elements.push_back(merge_element(all));
    add_differences(seen, element, all, answering);
  }
  return seen;
}

}  // namespace

std::string sentence_of(const Error& error) {
  return error.detail.empty() ? error.message() : error.detail;
}

void in_parallel(std::size_t count, std::size_t width,
                 const std::function<void(std::size_t)>& body) {
  std::atomic<std::size_t> next{0};
  std::vector<std::thread> threads;
  for (std::size_t i = 0; i < std::min(count, width); ++i) {
    threads.emplace_back([&] {
      for (std::size_t at = next++; at < count; at = next++) body(at);
    });
  }
  for (std::thread& thread : threads) thread.join();
}

std::vector<RegistrarAnswer> ask_once(const ClientOptions& options, const std::string& pool,
                                      std::chrono::milliseconds patience) {
  std::vector<RegistrarAnswer> answers(options.registrars.size());
  in_parallel(answers.size(), answers.size(), [&](std::size_t i) {
    const std::string& registrar = options.registrars[i];
    answers[i] = {registrar, pool::list_pools(registrar, pool, patience, options.tls)};
  });
  return answers;
}

std::vector<RegistrarAnswer> ask_registrars(const ClientOptions& options, const std::string& pool) {
  auto answers = ask_once(options, pool, kRegistrarPatience);
  const bool any = std::any_of(answers.begin(), answers.end(),
                               [](const auto& answer) { return answer.pools.has_value(); });
  return any ? std::move(answers) : ask_once(options, pool, kSecondPatience);
}

std::size_t Fleet::answering() const {
  return static_cast<std::size_t>(std::count_if(
      answers.begin(), answers.end(), [](const auto& answer) { return answer.pools.has_value(); }));
}

std::string Fleet::trouble() const {
  std::string out;
  for (const RegistrarAnswer& answer : answers) {
    if (!answer.pools)
      out +=
          (out.empty() ? "" : "; ") + answer.registrar + ": " + sentence_of(answer.pools.error());
  }
  return out;
}

const SeenPool* Fleet::find(const std::string& pool) const {
  const auto found =
      std::find_if(pools.begin(), pools.end(), [&](const auto& seen) { return seen.pool == pool; });
  return found == pools.end() ? nullptr : &*found;
}

Fleet merge(std::vector<RegistrarAnswer> answers) {
  Fleet fleet{.answers = std::move(answers)};
  std::vector<const RegistrarAnswer*> answering;
  std::set<std::string> names;
  for (const RegistrarAnswer& answer : fleet.answers) {
    if (!answer.pools) continue;
    answering.push_back(&answer);
    for (const pool::ListedPool& pool : *answer.pools) names.insert(pool.pool);
  }
  for (const std::string& name : names) fleet.pools.push_back(merge_pool(name, answering));
  return fleet;
}

}  // namespace rtpool::control
