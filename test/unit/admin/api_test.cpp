#include "admin/api.hpp"

#include <doctest/doctest.h>

#include "holdfast/admin/client.hpp"
#include "unit/admin/fake_control.hpp"

namespace holdfast::admin::test {
namespace {

using Strings = std::vector<std::string>;

config::Admin settings(const std::string& token = "") {
  config::Admin out;
  std::string why;
  out.bind = config::parse_address("127.0.0.1:9900", config::AddressUse::bind, why);
  out.token = token;
  return out;
}

Request request(const std::string& method, const std::string& target) {
  Request out;
  out.method = method;
  out.target = target;
  out.host = "127.0.0.1:9900";
  out.host_count = 1;
  return out;
}

unsigned status_of(const Request& asked, const config::Admin& with = settings()) {
  FakeControl control;
  const Reply reply = handle(asked, with, control);
  if (reply.status >= 400 && reply.status != 503) {
    CHECK(reply.body.rfind("{\"error\":", 0) == 0);
    CHECK(control.calls.empty());
  }
  return reply.status;
}

TEST_CASE("the reading endpoints answer") {
  FakeControl control;
  CHECK(handle(request("GET", "/healthz"), settings(), control).body == "{\"alive\":true}\n");
  const Reply metrics = handle(request("GET", "/metrics"), settings(), control);
  CHECK(metrics.body == "# nothing\n");
  CHECK(metrics.content_type == "text/plain; version=0.0.4; charset=utf-8");
  const Reply status = handle(request("HEAD", "/status?x=1"), settings(), control);
  CHECK(status.status == 200);
  CHECK(status.body.find("0.1.0") != std::string::npos);
}

TEST_CASE("readiness is a status and a list of what is missing") {
  FakeControl control;
  control.readiness = {Readiness::not_ready, {"draining"}};
  const Reply reply = handle(request("GET", "/readyz?route=a%20b"), settings(), control);
  CHECK(reply.status == 503);
  CHECK(reply.body == "{\"details\":[\"draining\"],\"ready\":false}\n");
  CHECK(control.calls == Strings{"ready a b"});
  control.readiness.readiness = Readiness::no_such_route;
  CHECK(handle(request("GET", "/readyz?route=x"), settings(), control).status == 404);
}

TEST_CASE("a backend's address is one percent-encoded segment") {
  FakeControl control;
  const std::string target = "/upstreams/chat/backends/" + percent_encode("unix:/run/b 1%") + "/draining";
  const Reply reply = handle(request("POST", target), settings(), control);
  CHECK(reply.status == 200);
  CHECK(control.calls == Strings{"chat unix:/run/b 1% draining"});
  control.state_outcome = StateOutcome::no_such_backend;
  CHECK(handle(request("POST", target), settings(), control).status == 404);
  control.state_outcome = StateOutcome::no_such_upstream;
  CHECK(handle(request("POST", target), settings(), control).status == 404);
}

TEST_CASE("a reload answers its changes or every error") {
  FakeControl control;
  const Reply good = handle(request("POST", "/reload"), settings(), control);
  CHECK(good.status == 200);
  CHECK(good.body == "{\"changes\":[\"backend chat/b:1 added\"],\"generation\":2,\"warnings\":[]}\n");
  control.outcome = {ReloadOutcome::Result::refused, 1, {}, {"workers: is 0", "listeners: is missing"}, {}};
  const Reply bad = handle(request("POST", "/reload"), settings(), control);
  CHECK(bad.status == 400);
  CHECK(bad.body.find("\"errors\":[\"workers: is 0\",\"listeners: is missing\"]") != std::string::npos);
}

TEST_CASE("sessions are listed up to a limit, of all upstreams or of one") {
  FakeControl control;
  CHECK(handle(request("GET", "/sessions"), settings(), control).body == "{\"sessions\":[],\"total\":0}\n");
  CHECK(handle(request("GET", "/sessions?limit=10000&upstream=a%20b"), settings(), control).status == 200);
  CHECK(control.calls == Strings{"sessions 100 ", "sessions 10000 a b"});
  control.session_list.reset();
  CHECK(handle(request("GET", "/sessions"), settings(), control).status == 503);
}

TEST_CASE("a limit that is no number from 1 to 10000 is refused") {
  for (const char* limit : {"0", "10001", "-1", "ten", "", "1x", "99999999999999999999"}) {
    CAPTURE(limit);
    CHECK(status_of(request("GET", std::string("/sessions?limit=") + limit)) == 400);
  }
}

TEST_CASE("a session is closed or moved by its id") {
  FakeControl control;
  const std::string id = "01000000000000000000000000000AfF";
  const Reply closed = handle(request("POST", "/sessions/" + id + "/close"), settings(), control);
  CHECK(closed.status == 200);
  CHECK(closed.body == "{\"action\":\"close\",\"session\":\"" + id + "\"}\n");
  CHECK(handle(request("POST", "/sessions/" + id + "/move"), settings(), control).status == 200);
  CHECK(control.calls == Strings{"close 1 255", "move 1 255"});
  control.session_outcome = SessionOutcome::no_such_session;
  CHECK(handle(request("POST", "/sessions/" + id + "/move"), settings(), control).status == 404);
  control.session_outcome = SessionOutcome::refused;
  const Reply refused = handle(request("POST", "/sessions/" + id + "/move"), settings(), control);
  CHECK(refused.status == 409);
  CHECK(refused.body == "{\"error\":\"session " + id + " can't move: it is closing\"}\n");
  control.session_outcome = SessionOutcome::busy;
  CHECK(handle(request("POST", "/sessions/" + id + "/move"), settings(), control).status == 503);
  CHECK(handle(request("GET", "/sessions/" + id + "/move"), settings(), control).allow == "POST");
}

TEST_CASE("an id that is not 32 hexadecimal digits is refused") {
  for (const std::string& id : {std::string("1"), std::string(31, 'a'), std::string(33, 'a'),
                                std::string(31, 'a') + "g", std::string(30, 'a') + "+1"}) {
    CAPTURE(id);
    CHECK(status_of(request("POST", "/sessions/" + id + "/close")) == 400);
  }
  CHECK(status_of(request("POST", "/sessions/" + std::string(32, 'a') + "/kill")) == 404);
}

TEST_CASE("a rebalance answers how many sessions each backend gives away") {
  FakeControl control;
  const Reply reply = handle(request("POST", "/upstreams/chat/rebalance"), settings(), control);
  CHECK(reply.status == 200);
  CHECK(reply.body ==
        "{\"backends\":[{\"address\":\"b:1\",\"to_move\":40},{\"address\":\"b:2\",\"to_move\":0}],"
        "\"to_move\":40,\"upstream\":\"chat\"}\n");
  control.to_move.reset();
  CHECK(handle(request("POST", "/upstreams/chat/rebalance"), settings(), control).status == 404);
  CHECK(handle(request("GET", "/upstreams/chat/rebalance"), settings(), control).allow == "POST");
}

TEST_CASE("unknown endpoints, wrong methods and broken targets have their status") {
  for (const char* target : {"/", "/nothing", "/status/", "/upstreams/a/backends/b/gone",
                             "/upstreams/a/backends/b", "/healthz/x"}) {
    CAPTURE(target);
    CHECK(status_of(request("GET", target)) == (std::string(target) == "/status/" ? 200U : 404U));
  }
  CHECK(status_of(request("GET", "status")) == 400);
  CHECK(status_of(request("GET", "/a%2")) == 400);
  CHECK(status_of(request("GET", "/a%zz")) == 400);
  FakeControl control;
  CHECK(handle(request("GET", "/reload"), settings(), control).allow == "POST");
  CHECK(handle(request("POST", "/metrics"), settings(), control).allow == "GET, HEAD");
  CHECK(status_of(request("DELETE", "/upstreams/a/backends/b/active")) == 405);
}

TEST_CASE("with a token everything needs it but the health endpoints") {
  const config::Admin with = settings("s3cret");
  CHECK(status_of(request("GET", "/status"), with) == 401);
  CHECK(status_of(request("GET", "/metrics"), with) == 401);
  CHECK(status_of(request("GET", "/nothing"), with) == 401);
  CHECK(status_of(request("POST", "/reload"), with) == 401);
  CHECK(status_of(request("GET", "/sessions"), with) == 401);
  CHECK(status_of(request("POST", "/sessions/" + std::string(32, 'a') + "/close"), with) == 401);
  CHECK(status_of(request("POST", "/upstreams/chat/rebalance"), with) == 401);
  CHECK(status_of(request("GET", "/healthz"), with) == 200);
  CHECK(status_of(request("GET", "/readyz"), with) == 200);
  config::Admin open = with;
  open.metrics_open = config::Admin::MetricsAccess::open;
  CHECK(status_of(request("GET", "/metrics"), open) == 200);

  Request asked = request("GET", "/status");
  for (const char* wrong :
       {"", "s3cret", "Bearer ", "Bearer s3creT", "Bearer s3cret2", "Basic s3cret", "Bearer  s3cret"}) {
    CAPTURE(wrong);
    asked.authorization = wrong;
    CHECK(status_of(asked, with) == 401);
  }
  asked.authorization = "bearer s3cret";
  CHECK(status_of(asked, with) == 200);
  FakeControl control;
  CHECK(handle(request("GET", "/status"), with, control).challenge == "Bearer");
}

TEST_CASE("a page of another site can't change anything through a browser") {
  Request asked = request("POST", "/reload");
  asked.origin = "http://evil.example";
  CHECK(status_of(asked) == 403);
  asked.origin = "null";
  CHECK(status_of(asked) == 403);
  asked.origin = "http://127.0.0.1:9900";
  CHECK(status_of(asked) == 200);
}

TEST_CASE("without a token a name that a name server may point here is refused") {
  // DNS rebinding: Origin and Host agree, since the page really came from that name.
  Request asked = request("POST", "/reload");
  asked.host = "evil.example:9900";
  asked.origin = "http://evil.example:9900";
  CHECK(status_of(asked) == 403);
  Request reading = request("GET", "/status");
  reading.host = "evil.example:9900";
  CHECK(status_of(reading) == 403);
  reading.target = "/healthz";
  CHECK(status_of(reading) == 200);
  for (const char* host : {"localhost:9900", "127.0.0.1", "[::1]:9900", "10.1.2.3:80"}) {
    CAPTURE(host);
    reading.target = "/status";
    reading.host = host;
    CHECK(status_of(reading) == 200);
  }
  reading.host_count = 2;
  CHECK(status_of(reading) == 400);
}

}  // namespace
}  // namespace holdfast::admin::test
