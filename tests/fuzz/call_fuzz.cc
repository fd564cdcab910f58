// A call fed by chosen datagrams, sources, times and updates. What must hold whatever comes: a
// verdict names only an address that the specification vouches for or that was learned while it
// did, a stranger is never heard, every datagram is accounted for.
//
// The input is a script of steps: a step byte, then what the step needs; it ends where the input
// does.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "relay/base/assert.h"
#include "relay/base/bytes.h"
#include "relay/media/call.h"
#include "relay/media/target.h"

namespace {

using namespace rtpool;
using namespace rtpool::media;

constexpr IpAddress kRelay = IpAddress::v4(198, 51, 100, 1);

// Six addresses: two that may be Alice's, two that may be Bob's, two that are strangers'.
IpAddress address_of(std::uint8_t choice) {
  return IpAddress::v4(203, 0, 113, static_cast<std::uint8_t>(10 + choice % 6));
}
bool is_stranger(const IpAddress& address) {
  return address.octets[3] >= 14;
}

class Script {
 public:
  explicit Script(Bytes input) : reader_(input) {}
  std::uint8_t byte() { return reader_.u8().value_or(0); }
  bool done() const { return reader_.remaining() == 0; }
  Bytes take(std::size_t n) { return *reader_.take(std::min(n, reader_.remaining())); }

 private:
  ByteReader reader_;
};

class Stage {
 public:
  Stage() {
    spec_.key = "fuzz";
    spec_.streams.resize(2);
    for (std::uint32_t i = 0; i < 2; ++i) {
      StreamSpec& stream = spec_.streams[i];
      stream.id = StreamId{i + 1};
      stream.forward_to = StreamId{2 - i};
      stream.remote_rtp = {{address_of(static_cast<std::uint8_t>(2 * i)), 4000}};
      const auto port = static_cast<std::uint16_t>(30000 + 2 * i);
      sockets_.push_back(
          {.rtp = {{kRelay, port}}, .rtcp = {{kRelay, static_cast<std::uint16_t>(port + 1)}}});
    }
    call_.emplace(spec_, sockets_, CallOptions{}, now_);
  }

  void step(Script& script) {
    const std::uint8_t what = script.byte();
    now_ += std::chrono::milliseconds(what & 0x0f) * 100;
    if (what < 0x20) {
      update(script);
    } else {
      receive(what, script);
    }
    static_cast<void>(call_->expired(now_));
  }

  void check_accounts() const {
    std::uint64_t counted = 0;
    for (const StreamState& stream : call_->state(now_).streams) {
      counted += stream.rtp.dropped + stream.rtcp.dropped + stream.rtp.sent.packets +
                 stream.rtcp.sent.packets;
      RTPOOL_ASSERT(stream.ssrcs.size() <= kMaxSsrcsPerStream);
    }
    RTPOOL_ASSERT(counted == datagrams_);
  }

 private:
  void update(Script& script) {
    const std::uint8_t change = script.byte();
    StreamSpec& stream = spec_.streams[change & 1];
    const std::uint8_t value = script.byte();
    const auto own = static_cast<std::uint8_t>((change & 1) * 2 + (value & 1));
    switch ((change >> 1) % 8) {
      case 0:
        stream.send = (value & 1) != 0;
        break;
      case 1:
        stream.rtcp_mux = (value & 1) != 0;
        break;
      case 2:
        stream.pass_dtls = (value & 1) != 0;
        break;
      case 3:
        stream.opaque = (value & 1) != 0;
        break;
      case 4:
        stream.sip_source = (value & 2) != 0 ? std::optional(address_of(own)) : std::nullopt;
        break;
      case 5:
        stream.latch = (value & 1) != 0 ? LatchPolicy::signalled : LatchPolicy::learn;
        break;
      case 6:
        stream.remote_rtp.reset();
        break;
      default:
        stream.remote_rtp = {{address_of(own), static_cast<std::uint16_t>(4000 + (value >> 4))}};
        stream.learn_epoch += (value >> 1) & 1;
    }
    stream.ice.reset();
    if ((change & 0x80) != 0) {
      stream.ice = IceSpec{
          .local_ufrag = "evtj", .local_pwd = "VOkJxbRl1RmTxUk/WvJxBt", .remote_ufrag = "h6vY"};
    }
    ++spec_.revision;
    RTPOOL_ASSERT(validate(spec_).empty());
    call_->update(spec_, sockets_, now_);
  }

  // Whether an address belongs to the party at a stream now, or did when it was last heard there.
  bool belongs(std::size_t stream, const IpAddress& address) const {
    const StreamSpec& spec = spec_.streams[stream];
    return (spec.remote_rtp && address == spec.remote_rtp->address) ||
           (spec.sip_source && address == *spec.sip_source) || heard_[stream] == address ||
           heard_rtcp_[stream] == address;
  }

  void receive(std::uint8_t what, Script& script) {
    const std::uint16_t at = (what >> 4) & 1;
    const auto component = (what & 0xc0) == 0xc0 ? ComponentKind::rtcp : ComponentKind::rtp;
    const std::uint8_t from = script.byte();
    const RemoteEndpoint source{{address_of(from), static_cast<std::uint16_t>(4000 + (from >> 4))}};
    const std::uint8_t length = script.byte();
    const Bytes datagram = script.take(length);
    const Verdict verdict = call_->receive(at, component, now_, source, datagram, length == 0xff);
    ++datagrams_;
    if (verdict.action == Action::drop) {
      RTPOOL_ASSERT(verdict.reason != Drop::none && verdict.to == nullptr);
      const bool accepted = verdict.reason == Drop::no_peer || verdict.reason == Drop::on_hold ||
                            verdict.reason == Drop::peer_unknown;
      if (accepted) hear(at, component, source.address);
      return;
    }
    if (verdict.action == Action::reply) {
      // Only who knows the password is answered, and that much may be a stranger: ICE vouches for
      // it.
      RTPOOL_ASSERT(spec_.streams[at].ice && *verdict.to == source && !verdict.payload.empty());
      vouched_ = true;
      return;
    }
    RTPOOL_ASSERT(verdict.out_stream == 1 - at);
    RTPOOL_ASSERT(media_target_allowed(*verdict.to, kRelay));
    hear(at, component, source.address);
    if (vouched_) return;
    RTPOOL_ASSERT(!is_stranger(verdict.to->address));
    RTPOOL_ASSERT(belongs(verdict.out_stream, verdict.to->address));
  }

  // A datagram was let in, whether or not there was somewhere to send it.
  void hear(std::uint16_t at, ComponentKind component, const IpAddress& address) {
    RTPOOL_ASSERT(vouched_ || (!is_stranger(address) && belongs(at, address)));
    (component == ComponentKind::rtp ? heard_ : heard_rtcp_)[at] = address;
  }

  CallSpec spec_;
  std::vector<StreamSockets> sockets_;
  Instant now_{std::chrono::hours(1)};
  std::optional<Call> call_;
  std::optional<IpAddress> heard_[2], heard_rtcp_[2];
  std::uint64_t datagrams_ = 0;
  bool vouched_ = false;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Script script(rtpool::Bytes(reinterpret_cast<const std::byte*>(data), size));
  Stage stage;
  while (!script.done()) stage.step(script);
  stage.check_accounts();
  return 0;
}
