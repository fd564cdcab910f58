// `rtpool pool list` and `rtpool pool show`.
#include <cstdio>
#include <nlohmann/json.hpp>

#include "control/app/operator/commands.h"
#include "control/app/operator/pool_table.h"
#include "control/app/operator/registrars.h"
#include "control/app/operator/terminal.h"
#include "control/app/roles/role.h"

namespace rtpool::control {
namespace {

void print(const std::string& text) {
  std::fputs(text.c_str(), stdout);
}

std::string names_of(const Fleet& fleet) {
  std::string names;
  for (const SeenPool& pool : fleet.pools) names += (names.empty() ? "" : ", ") + pool.pool;
  return names.empty() ? "there is none yet" : "there is " + names;
}

int no_pool(const char* command, const ClientOptions& options, const std::string& pool) {
  const Fleet all = merge(ask_registrars(options, ""));
  return fail(command, "no pool \"" + pool + "\"; " + names_of(all), kNotFound);
}

void warn_of_silence(const char* command, const Fleet& fleet) {
  for (const RegistrarAnswer& answer : fleet.answers) {
    if (!answer.pools)
      warn(command, answer.registrar + " does not answer: " + sentence_of(answer.pools.error()));
  }
}

}  // namespace

int list_pools(const ClientOptions& options) {
  const Fleet fleet = merge(ask_registrars(options, options.pool));
  if (fleet.answering() == 0) return fail("pool list", "no registrar answers: " + fleet.trouble());
  if (!options.pool.empty() && fleet.pools.empty())
    return no_pool("pool list", options, options.pool);
  print(options.json ? dump(pool_list_json(fleet)) : pool_list_text(fleet, colours_wanted()));
  if (!options.json) warn_of_silence("pool list", fleet);
  return 0;
}

int show_pool(const ClientOptions& options) {
  const Fleet fleet = merge(ask_registrars(options, options.subject));
  if (fleet.answering() == 0) return fail("pool show", "no registrar answers: " + fleet.trouble());
  const SeenPool* pool = fleet.find(options.subject);
  if (pool == nullptr) return no_pool("pool show", options, options.subject);
  print(options.json ? dump(pool_show_json(fleet, *pool))
                     : pool_show_text(fleet, *pool, colours_wanted()));
  if (!options.json) warn_of_silence("pool show", fleet);
  return 0;
}

}  // namespace rtpool::control
