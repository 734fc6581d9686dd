#include "config/shape_feed.hpp"

#include "config/text_checks.hpp"
#include "config/words.hpp"

namespace holdfast::config {

namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

template <class Enum>
void choice(Visitor& v, Key key, Enum& field) {
  auto index = static_cast<std::size_t>(field);
  v.choice(key, index, words<Enum>());
  field = static_cast<Enum>(index);
}

void number(Visitor& v, Key key, std::uint32_t& field, NumberRange range) {
  std::uint64_t value = field;
  v.number(key, value, range);
  field = static_cast<std::uint32_t>(value);
}

void urls(Visitor& v, std::vector<SourceUrl>& field) {
  std::vector<std::string> texts;
  v.texts({"urls"}, texts, {1, Source::most_urls},
          [&](const std::string& text) { return parse_source_url(text, field.emplace_back()); });
}

void source_tls(Visitor& v, SourceTls& t) {
  bool verifies = t.verify == SourceTls::Verify::yes;
  v.flag({"verify"}, verifies);
  t.verify = verifies ? SourceTls::Verify::yes : SourceTls::Verify::no;
  v.text({"ca"}, t.ca, nullptr);
  v.text({"server_name"}, t.server_name, check_server_name);
}

void source(Visitor& v, Source& s) {
  urls(v, s.urls);
  v.text({"upstream"}, s.upstream, nullptr);
  v.text({"path"}, s.path, check_request_path);
  choice(v, {"mode"}, s.mode);
  v.duration({"connect_timeout"}, s.connect_timeout, {milliseconds(10), minutes(10), Zero::within_range});
  v.duration({"silence_timeout"}, s.silence_timeout, {milliseconds(100), hours(1), Zero::means_off});
  v.object({"ping"}, [&](Visitor& inner) {
    inner.duration({"interval"}, s.ping_interval, {seconds(1), hours(24), Zero::means_off});
    inner.duration({"timeout"}, s.ping_timeout, {milliseconds(100), hours(1), Zero::within_range});
  });
  v.duration({"retry_max"}, s.retry_max, {milliseconds(100), hours(1), Zero::within_range});
  v.duration({"rotate_after"}, s.rotate_after, {seconds(1), hours(24 * 31), Zero::means_off});
  v.size({"max_message"}, s.max_message, {1ULL << 10, 128ULL << 20});
  v.text({"subprotocol"}, s.subprotocol, check_subprotocol);
  v.fields({"headers"}, s.headers, Source::most_headers, check_probe_field, check_field_value);
  v.fields({"header_files"}, s.header_files, Source::most_headers, check_probe_field, check_file);
  v.object({"tls"}, [&](Visitor& inner) { source_tls(inner, s.tls); });
  v.object({"limits"}, [&](Visitor& inner) {
    number(inner, {"subscriptions_per_connection"}, s.limits.subscriptions_per_connection, {0, 1'000'000});
    number(inner, {"messages_per_second"}, s.limits.messages_per_second, {0, 1'000'000});
    number(inner, {"connects_per_5min"}, s.limits.connects_per_5min, {0, 1'000'000});
  });
}

void join(Visitor& v, Join& j) {
  constexpr std::array<std::string_view, 2> kinds{"none", "snapshot"};
  auto kind = static_cast<std::size_t>(j.kind);
  bool is_object = false;
  v.object_or_word({"join"}, kind, kinds, [&](Visitor& inner) {
    number(inner, {"last", Presence::required}, j.last, {1, 100'000});
    is_object = true;
  });
  j.kind = is_object ? JoinKind::last : static_cast<JoinKind>(kind);
}

}  // namespace

void describe_feed(Visitor& v, Feed& f) {
  v.text({"name", Presence::required}, f.name, check_feed_name);
  v.object({"source"}, [&](Visitor& inner) { source(inner, f.source); });
  v.text({"dialect"}, f.dialect, check_file);
  v.text({"channel"}, f.channel, check_channel_template);
  join(v, f.join);
  v.duration({"request_timeout"}, f.request_timeout, {milliseconds(100), minutes(10), Zero::within_range});
  v.duration({"linger"}, f.linger, {milliseconds(0), hours(1), Zero::within_range});
  v.duration({"flush_interval"}, f.flush_interval, {milliseconds(0), seconds(1), Zero::within_range});
  v.object({"ring"}, [&](Visitor& inner) {
    inner.size({"bytes"}, f.ring.bytes, {4ULL << 10, 1ULL << 30});
    inner.duration({"age"}, f.ring.age, {milliseconds(100), hours(24), Zero::within_range});
  });
  choice(v, {"on_lag"}, f.on_lag);
  v.object({"slow"}, [&](Visitor& inner) {
    inner.duration({"behind"}, f.slow.behind, {milliseconds(10), hours(1), Zero::within_range});
    number(inner, {"floor"}, f.slow.floor, {0, 1'000'000});
    inner.duration({"window"}, f.slow.window, {milliseconds(100), minutes(10), Zero::within_range});
  });
  choice(v, {"client_messages"}, f.client_messages);
  choice(v, {"compression"}, f.compression);
  number(v, {"max_channels"}, f.max_channels, {1, 1'000'000});
  number(v, {"max_channels_per_client"}, f.max_channels_per_client, {0, 1'000'000});
  v.later({"spread"});
}

}  // namespace holdfast::config
