#include "control/calls/local_relay.h"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <condition_variable>
#include <mutex>
#include <utility>

namespace rtpool::control {

struct LocalRelay::Impl : std::enable_shared_from_this<LocalRelay::Impl> {
  // A question that the relay has not answered yet. The answer and the deadline meet on the control
  // thread; whichever comes first is the result.
  struct Question {
    Question(boost::asio::io_context& io, Done d) : deadline(io), done(std::move(d)) {}
    boost::asio::steady_timer deadline;
    Done done;
  };

  Impl(boost::asio::io_context& context, RelayServer& server, std::string at, RelayGateway& rest)
      : io(context), relay(server), address(std::move(at)), others(rest) {}

  // Asks by `start`, which gets the engine's callback.
  template <class Start>
  void ask(Duration time, Done done, Start start) {
    auto question = std::make_shared<Question>(io, std::move(done));
    question->deadline.expires_after(time);
    question->deadline.async_wait([question](const boost::system::error_code& cancelled) {
      if (cancelled || !question->done) return;
      std::exchange(question->done, nullptr)(Error(RelayErrc::deadline));
    });
    {
      const std::lock_guard lock(mutex);
      ++under_way;
    }
    start([self = shared_from_this(), question](Result<media::CallState> state) {
      // By the engine's control thread, after which it has let go of everything of ours.
      boost::asio::post(self->io, [question, state = std::move(state)] {
        if (!question->done) return;
        question->deadline.cancel();
        std::exchange(question->done, nullptr)(state);
      });
      const std::lock_guard lock(self->mutex);
      if (--self->under_way == 0) self->idle.notify_all();
    });
  }

  [[nodiscard]] bool is_local(const RelayRef& asked) const { return asked.address == address; }

  boost::asio::io_context& io;
  RelayServer& relay;
  const std::string address;
  RelayGateway& others;
  RelayRef known;  // as last asked
  Ended on_ended;

  std::mutex mutex;
  std::condition_variable idle;
  std::size_t under_way = 0;
};

LocalRelay::LocalRelay(boost::asio::io_context& io, RelayServer& relay, std::string address,
                       RelayGateway& others)
    : impl_(std::make_shared<Impl>(io, relay, std::move(address), others)) {
  relay.set_on_ended([weak = std::weak_ptr(impl_)](const CallEnded& ended) {
    const auto impl = weak.lock();
    if (!impl) return;
    boost::asio::post(impl->io, [weak, ended] {
      const auto still = weak.lock();
      // Before it was ever asked it has no call of this controller, by any name.
      if (still && still->on_ended && !still->known.address.empty())
        still->on_ended(still->known, ended);
    });
  });
}

LocalRelay::~LocalRelay() {
  stop();
}

void LocalRelay::apply(const RelayRef& relay, const media::CallSpec& spec, Duration deadline,
                       Done done) {
  if (!impl_->is_local(relay)) return impl_->others.apply(relay, spec, deadline, std::move(done));
  impl_->known = relay;
  boost::asio::post(impl_->io, [done = std::move(done),
                                state = impl_->relay.apply(relay.epoch, spec)] { done(state); });
}

void LocalRelay::query(const RelayRef& relay, const std::string& key, Duration deadline,
                       Done done) {
  if (!impl_->is_local(relay)) return impl_->others.query(relay, key, deadline, std::move(done));
  impl_->known = relay;
  impl_->ask(deadline, std::move(done), [&](auto answer) { impl_->relay.query(key, answer); });
}

void LocalRelay::remove(const RelayRef& relay, const std::string& key, Duration deadline,
                        Done done) {
  if (!impl_->is_local(relay)) return impl_->others.remove(relay, key, deadline, std::move(done));
  impl_->known = relay;
  impl_->ask(deadline, std::move(done), [&](auto answer) { impl_->relay.remove(key, answer); });
}

void LocalRelay::set_on_ended(Ended handler) {
  impl_->others.set_on_ended(handler);
  impl_->on_ended = std::move(handler);
}

void LocalRelay::stop() {
  impl_->relay.set_on_ended({});
  std::unique_lock lock(impl_->mutex);
  impl_->idle.wait(lock, [this] { return impl_->under_way == 0; });
}

}  // namespace rtpool::control
