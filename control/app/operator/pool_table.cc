#include "control/app/operator/pool_table.h"

#include <algorithm>
#include <chrono>
#include <map>

#include "control/app/roles/pool_json.h"

namespace rtpool::control {
namespace {

using nlohmann::json;
using enum Table::Align;

std::map<std::string_view, std::size_t> states_of(const SeenPool& pool) {
  std::map<std::string_view, std::size_t> states;
  for (const auto state : kElementStates) states[state] = 0;
  for (const SeenElement& seen : pool.elements) ++states[state_of(seen.element)];
  return states;
}

std::string of_capacity(const PoolTotals& totals) {
  return totals.capacity == 0 ? "-" : std::to_string(totals.capacity);
}

Cell state_cell(const pool::PoolElement& element) {
  const auto state = state_of(element);
  return {std::string(state), colour_of(state)};
}

}  // namespace

Colour colour_of(std::string_view state) {
  if (state == "up") return Colour::green;
  return state == "suspect" || state == "damped" ? Colour::red : Colour::yellow;
}

PoolTotals totals_of(const std::vector<SeenElement>& elements) {
  PoolTotals totals;
  for (const SeenElement& seen : elements) {
    totals.calls += seen.element.calls;
    totals.capacity += seen.element.values.capacity;
  }
  return totals;
}

std::string agreement(const Fleet& fleet, const SeenPool& pool) {
  if (!pool.differences.empty()) return "differ";
  const std::string count =
      std::to_string(fleet.answering()) + " of " + std::to_string(fleet.answers.size());
  return count + (fleet.answering() == fleet.answers.size() ? " agree" : " answer");
}

std::string pool_list_text(const Fleet& fleet, bool colours) {
  std::vector<Table::Column> columns{{"POOL"}, {"RELAYS", right}};
  for (const auto state : kElementStates) {
    std::string title(state);
    std::transform(title.begin(), title.end(), title.begin(), [](char c) {
      return static_cast<char>(c >= 'a' && c <= 'z' ? c - 'a' + 'A' : c);
    });
    columns.push_back({std::move(title), right});
  }
  for (const Table::Column& more :
       {Table::Column{"CALLS", right}, {"CAPACITY", right}, {"PANIC"}, {"REGISTRARS"}, {"POLICY"}})
    columns.push_back(more);
  Table table(std::move(columns));
  for (const SeenPool& pool : fleet.pools) {
    const PoolTotals totals = totals_of(pool.elements);
    std::vector<Cell> row{pool.pool, std::to_string(pool.elements.size())};
    const auto states = states_of(pool);
    for (const auto state : kElementStates) {
      const std::size_t count = states.at(state);
      row.emplace_back(std::to_string(count), count == 0 ? Colour::plain : colour_of(state));
    }
    row.emplace_back(std::to_string(totals.calls));
    row.emplace_back(of_capacity(totals));
    row.emplace_back(pool.panic ? "yes" : "no", pool.panic ? Colour::red : Colour::plain);
    const bool all = pool.differences.empty() && fleet.answering() == fleet.answers.size();
    row.emplace_back(agreement(fleet, pool), all ? Colour::plain : Colour::yellow);
    row.emplace_back(std::string(pool::name_of(pool.policy)));
    table.add(std::move(row));
  }
  return table.text(colours);
}

json registrars_json(const Fleet& fleet) {
  json all = json::array();
  for (const RegistrarAnswer& answer : fleet.answers) {
    all.push_back({{"registrar", answer.registrar},
                   {"answers", answer.pools.has_value()},
                   {"error", answer.pools ? "" : sentence_of(answer.pools.error())}});
  }
  return all;
}

json pool_list_json(const Fleet& fleet) {
  json pools = json::array();
  for (const SeenPool& pool : fleet.pools) {
    const PoolTotals totals = totals_of(pool.elements);
    json states = json::object();
    for (const auto& [state, count] : states_of(pool)) states[std::string(state)] = count;
    pools.push_back({{"pool", pool.pool},
                     {"policy", pool::name_of(pool.policy)},
                     {"relays", pool.elements.size()},
                     {"states", std::move(states)},
                     {"calls", totals.calls},
                     {"capacity", totals.capacity},
                     {"panic", pool.panic},
                     {"agree", pool.differences.empty()}});
  }
  return {{"registrars", registrars_json(fleet)}, {"pools", std::move(pools)}};
}

Table relay_table(const std::vector<SeenElement>& elements, bool detailed) {
  std::vector<Table::Column> columns{
      {"RELAY"}, {"STATE"},         {"LOAD", right},     {"CALLS", right}, {"CAPACITY", right},
      {"ZONE"},  {"WEIGHT", right}, {"PRIORITY", right}, {"ADDRESS"},      {"EPOCH", right}};
  if (detailed) {
    columns.push_back({"HEARD", right});
    columns.push_back({"REPORTS", right});
  }
  Table table(std::move(columns));
  for (const SeenElement& seen : elements) {
    const pool::PoolElement& e = seen.element;
    std::vector<Cell> row{e.name,
                          state_cell(e),
                          percent(static_cast<double>(e.load) / pool::kFullLoad),
                          std::to_string(e.calls),
                          e.values.capacity == 0 ? "" : std::to_string(e.values.capacity),
                          e.zone,
                          std::to_string(e.values.weight),
                          std::to_string(e.values.priority),
                          e.endpoint,
                          std::to_string(e.epoch)};
    if (detailed) {
      row.emplace_back(rough(seen.last_heard_ago) + " ago");
      row.emplace_back(std::to_string(seen.reports));
    }
    table.add(std::move(row));
  }
  return table;
}

std::string pool_show_text(const Fleet& fleet, const SeenPool& pool, bool colours) {
  const PoolTotals totals = totals_of(pool.elements);
  std::string out = "Pool " + painted(printable(pool.pool), Colour::bold, colours) + ": " +
                    counted(pool.elements.size(), "relay") + ", " + counted(totals.calls, "call") +
                    " of " + of_capacity(totals) + ", policy " +
                    std::string(pool::name_of(pool.policy)) + ", registrars " +
                    agreement(fleet, pool) + "\n";
  if (pool.panic)
    out +=
        painted("Panic: more than half of the relays fell silent at once; none is being removed.",
                Colour::red, colours) +
        "\n";
  out += relay_table(pool.elements, true).text(colours);
  if (!pool.differences.empty()) out += "The registrars differ:\n";
  for (const std::string& difference : pool.differences)
    out += "  " + painted(printable(difference), Colour::yellow, colours) + "\n";
  return out;
}

json pool_show_json(const Fleet& fleet, const SeenPool& pool) {
  json relays = json::array();
  for (const SeenElement& seen : pool.elements) {
    json relay = element_json(seen.element);
    relay["last_heard_ms"] =
        std::chrono::duration_cast<std::chrono::milliseconds>(seen.last_heard_ago).count();
    relay["unreachable_reports"] = seen.reports;
    relays.push_back(std::move(relay));
  }
  const PoolTotals totals = totals_of(pool.elements);
  return {{"registrars", registrars_json(fleet)},
          {"pool", pool.pool},
          {"policy", pool::name_of(pool.policy)},
          {"panic", pool.panic},
          {"calls", totals.calls},
          {"capacity", totals.capacity},
          {"agree", pool.differences.empty()},
          {"differences", pool.differences},
          {"relays", std::move(relays)}};
}

}  // namespace rtpool::control
