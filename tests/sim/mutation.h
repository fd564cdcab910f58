// Ways to break the pool on purpose. Each is caught by the check that it is named for; `pool_sim
// --mutate NAME` shows it.
#pragma once

#include <array>
#include <string_view>

namespace rtpool::sim {

enum class Mutation {
  none,
  never_ticks,        // registrars don't look at what is due: the silent stay
  hasty,              // one missed heartbeat is a death
  gives_up,           // a relay whose stream broke does not come back
  loads_lost,         // controllers don't take news of what they know already
  keeps_to_itself,    // a relay tells no registrar of a higher epoch granted by another
  takes_any_epoch,    // a registrar raises any epoch to the one in force
  never_resyncs,      // a controller takes updates across a gap
  no_panic,           // however many fall silent at once, each is a death
  forgets,            // a controller without contact drops its view
  waits_to_settle,    // a registrar takes no registrations until it has settled
  ignores_hand_outs,  // controllers choose by reported load alone
};

struct NamedMutation {
  Mutation mutation;
  std::string_view name;
  std::string_view caught_by;
};

inline constexpr std::array<NamedMutation, 11> kMutations = {{
    {Mutation::never_ticks, "never-ticks", "dead-not-chosen"},
    {Mutation::hasty, "hasty", "live-not-removed"},
    {Mutation::gives_up, "gives-up", "live-not-lost"},
    {Mutation::loads_lost, "loads-lost", "views-converge"},
    {Mutation::keeps_to_itself, "keeps-to-itself", "epochs-agree"},
    {Mutation::takes_any_epoch, "takes-any-epoch", "stale-epoch-refused"},
    {Mutation::never_resyncs, "never-resyncs", "watch-gap-free-or-resync"},
    {Mutation::no_panic, "no-panic", "mass-failure-keeps-pool"},
    {Mutation::forgets, "forgets", "cache-serves-without-registrars"},
    {Mutation::waits_to_settle, "waits-to-settle", "back-within-one-interval"},
    {Mutation::ignores_hand_outs, "ignores-hand-outs", "burst-spreads"},
}};

}  // namespace rtpool::sim
