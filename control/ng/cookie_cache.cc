#include "control/ng/cookie_cache.h"

#include <deque>
#include <unordered_map>
#include <utility>

#include "relay/base/assert.h"

namespace rtpool::ng {
namespace {

// What the map's node, the queue's place and the reply's control block take beside the texts
// themselves.
constexpr std::size_t kEntryOverhead = 256;

// Cookies hold no NUL, so the parts can't run into each other.
std::string make_key(std::string_view cookie, const Endpoint& source) {
  std::string key(cookie);
  key += '\0';
  key += source.address.is_v4() ? '4' : '6';
  key.append(reinterpret_cast<const char*>(source.address.octets.data()),
             source.address.octets.size());
  key += static_cast<char>(source.port >> 8);
  key += static_cast<char>(source.port & 0xff);
  return key;
}

}  // namespace

struct CookieCache::Impl {
  struct Entry {
    std::shared_ptr<const std::string> reply;  // null while in work
    Instant done{};
    std::uint32_t waiting = 0;
  };

  CookieCacheOptions options;
  std::unordered_map<std::string, Entry> entries;
  std::deque<const std::string*> finished;  // keys inside `entries`, in the order of completion
  std::size_t bytes = 0;

  void drop_oldest() {
    const auto oldest = entries.find(*finished.front());
    RTPOOL_ASSERT(oldest != entries.end() && oldest->second.reply != nullptr);
    bytes -= kEntryOverhead + oldest->first.size() + oldest->second.reply->size();
    finished.pop_front();
    entries.erase(oldest);
  }

  void expire(Instant now) {
    while (!finished.empty() && now - entries.at(*finished.front()).done >= options.retention)
      drop_oldest();
  }
};

CookieCache::CookieCache(const CookieCacheOptions& options) : impl_(std::make_unique<Impl>()) {
  impl_->options = options;
}
CookieCache::~CookieCache() = default;

CookieCache::Lookup CookieCache::lookup(Instant now, std::string_view cookie,
                                        const Endpoint& source) {
  impl_->expire(now);
  const auto found = impl_->entries.find(make_key(cookie, source));
  if (found == impl_->entries.end()) return {Outcome::fresh, nullptr};
  Impl::Entry& entry = found->second;
  if (entry.reply != nullptr) return {Outcome::reply, entry.reply};
  if (entry.waiting < impl_->options.max_waiting) ++entry.waiting;
  return {Outcome::in_work, nullptr};
}

bool CookieCache::begin(Instant now, std::string_view cookie, const Endpoint& source) {
  impl_->expire(now);
  std::string key = make_key(cookie, source);
  const std::size_t cost = kEntryOverhead + key.size();
  const auto& options = impl_->options;
  while (impl_->entries.size() >= options.max_entries || impl_->bytes + cost > options.max_bytes) {
    if (impl_->finished.empty()) return false;
    impl_->drop_oldest();
  }
  const bool inserted = impl_->entries.try_emplace(std::move(key)).second;
  RTPOOL_ASSERT(inserted);
  impl_->bytes += cost;
  return true;
}

std::uint32_t CookieCache::complete(Instant now, std::string_view cookie, const Endpoint& source,
                                    std::shared_ptr<const std::string> reply) {
  RTPOOL_ASSERT(reply != nullptr);
  const auto found = impl_->entries.find(make_key(cookie, source));
  RTPOOL_ASSERT(found != impl_->entries.end() && found->second.reply == nullptr);
  impl_->bytes += reply->size();
  found->second.reply = std::move(reply);
  found->second.done = now;
  const std::uint32_t times = 1 + found->second.waiting;
  impl_->finished.push_back(&found->first);
  impl_->expire(now);
  while (impl_->bytes > impl_->options.max_bytes && !impl_->finished.empty()) impl_->drop_oldest();
  return times;
}

void CookieCache::expire(Instant now) {
  impl_->expire(now);
}
std::size_t CookieCache::entries() const {
  return impl_->entries.size();
}
std::size_t CookieCache::in_work() const {
  return impl_->entries.size() - impl_->finished.size();
}
std::size_t CookieCache::bytes() const {
  return impl_->bytes;
}

}  // namespace rtpool::ng
