// The HTTP server: exclusive ports, clear failures, an end that no client can hold up.
#include "control/app/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "control/app/config.h"

namespace rtpool::control {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

int connect_to(const Endpoint& endpoint) {
  sockaddr_storage address{};
  const auto length = endpoint.to_sockaddr(address);
  const int fd = ::socket(address.ss_family, SOCK_STREAM, 0);
  EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(&address), length), 0);
  return fd;
}

std::string converse(const Endpoint& endpoint, const std::string& request) {
  const int fd = connect_to(endpoint);
  EXPECT_EQ(::send(fd, request.data(), request.size(), MSG_NOSIGNAL),
            static_cast<ssize_t>(request.size()));
  std::string reply;
  char buffer[4096];
  for (ssize_t n = 0; (n = ::recv(fd, buffer, sizeof buffer, 0)) > 0;)
    reply.append(buffer, static_cast<std::size_t>(n));
  ::close(fd);
  return reply;
}

std::string get(const Endpoint& endpoint, const std::string& path) {
  return converse(endpoint, "GET " + path + " HTTP/1.1\r\nHost: test\r\n\r\n");
}

TEST(HttpServer, ServesWhatIsRoutedAndRefusesTheRest) {
  HttpServer server;
  server.get("/healthz", [] { return HttpReply{200, "text/plain", "ok\n"}; });
  server.get("/broken", []() -> HttpReply { throw std::runtime_error("secret detail"); });
  const auto at = server.start(loopback(0));
  ASSERT_TRUE(at) << at.error().message();
  EXPECT_THAT(get(*at, "/healthz"), StartsWith("HTTP/1.1 200"));
  EXPECT_THAT(get(*at, "/healthz"), HasSubstr("\r\n\r\nok\n"));
  EXPECT_THAT(get(*at, "/nothing"), StartsWith("HTTP/1.1 404"));
  const auto broken = get(*at, "/broken");
  EXPECT_THAT(broken, StartsWith("HTTP/1.1 500"));
  EXPECT_THAT(broken, ::testing::Not(HasSubstr("secret")));
  EXPECT_THAT(converse(*at, "BOGUS\r\n\r\n"), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(converse(*at, "POST /healthz HTTP/1.1\r\nContent-Length: 999999\r\n\r\n"),
              StartsWith("HTTP/1.1 4"));
  EXPECT_TRUE(server.stop());
}

TEST(HttpServer, ABusyPortIsAnErrorThatNamesIt) {
  HttpServer first;
  const auto at = first.start(loopback(0));
  ASSERT_TRUE(at);
  HttpServer second;
  const auto refused = second.start(*at);
  ASSERT_FALSE(refused);
  EXPECT_THAT(refused.error().detail, HasSubstr("can't bind HTTP to " + at->to_string()));
}

TEST(HttpServer, AnAddressThatIsNotOursIsAnError) {
  HttpServer server;
  EXPECT_FALSE(server.start(Endpoint{IpAddress::v4(192, 0, 2, 1), 0}));
}

TEST(HttpServer, ListensOnIpv6) {
  HttpServer server;
  server.get("/", [] { return HttpReply{200, "text/plain", "six"}; });
  const auto at = server.start(*Endpoint::parse("[::1]:0"));
  ASSERT_TRUE(at) << at.error().message();
  EXPECT_THAT(get(*at, "/"), HasSubstr("six"));
}

TEST(HttpServer, AClientThatNeverFinishesDoesNotHoldUpTheEnd) {
  HttpServer server;
  const auto at = server.start(loopback(0));
  ASSERT_TRUE(at);
  const int idle = connect_to(*at);
  ASSERT_EQ(::send(idle, "GET / HT", 8, MSG_NOSIGNAL), 8);
  const auto begin = std::chrono::steady_clock::now();
  server.stop();
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(900));
  ::close(idle);
}

}  // namespace
}  // namespace rtpool::control
