#include "control/ng/reply.h"

namespace rtpool::ng {

Value ok() {
  return Value::dictionary({{"result", "ok"}});
}

Value pong() {
  return Value::dictionary({{"result", "pong"}});
}

Value error(std::string_view reason) {
  return Value::dictionary({{"result", "error"}, {"error-reason", reason}});
}

Value warning(std::string_view text) {
  return Value::dictionary({{"result", "ok"}, {"warning", text}});
}

Value load_limit(bool supported, std::string_view text) {
  if (!supported) return error(text == kRanOutOfPorts ? text : kParallelSessionLimit);
  return Value::dictionary({{"result", "load limit"}, {"message", text}});
}

std::string frame(std::string_view cookie, const Value& reply, Encoding encoding) {
  std::string datagram(cookie);
  datagram += ' ';
  datagram += encode(reply, encoding);
  return datagram;
}

}  // namespace rtpool::ng
