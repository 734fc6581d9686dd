#include "server/feed_status.hpp"

namespace holdfast::server {

namespace {

// More would make /status a burden; the metrics have the sums.
constexpr std::size_t most_sources = 100;

nlohmann::json source_status(const feed::SourceView& seen) {
  return {{"channel", seen.channel},   {"channels", seen.channels}, {"url", seen.url},
          {"state", seen.state},       {"age_ms", seen.since_ms},   {"silent_ms", seen.silent_ms},
          {"messages", seen.messages}, {"connects", seen.connects}, {"last_error", seen.last_error}};
}

nlohmann::json wanted_source(const config::Source& source) {
  nlohmann::json urls = nlohmann::json::array();
  for (const config::SourceUrl& each : source.urls) urls.push_back(each.url);
  return {{"urls", std::move(urls)}, {"upstream", source.upstream}, {"mode", config::to_string(source.mode)}};
}

std::uint64_t sum(const Lasting& lasting, const feed::FeedState& feed, auto pick) {
  std::uint64_t total = 0;
  for (std::size_t n = 0; n < lasting.workers; ++n) total += pick(feed.cells(n));
  return total;
}

}  // namespace

nlohmann::json feeds_status(const config::Config& config, Lasting& lasting, feed::SourceThread& sources) {
  nlohmann::json told = nlohmann::json::array();
  if (config.feeds.empty()) return told;
  const feed::SourceThread::Sources seen = sources.sources(most_sources);
  for (const config::Feed& settings : config.feeds) {
    const feed::FeedState& feed = *lasting.feeds.at(settings.name);
    const metrics::SourceCells& cells = feed.source_cells();
    nlohmann::json connections = nlohmann::json::array();
    if (const auto found = seen.find(&feed); found != seen.end()) {
      for (const feed::SourceView& each : found->second) connections.push_back(source_status(each));
    }
    const std::uint64_t messages = cells.messages.value();
    const std::uint64_t deliveries = sum(lasting, feed, [](const auto& c) { return c.deliveries.value(); });
    nlohmann::json skips;
    for (std::size_t n = 0; n < metrics::lag_policy_count; ++n)
      skips[std::string(config::to_string(static_cast<config::OnLag>(n)))] =
          sum(lasting, feed, [n](const auto& c) { return c.skips[n].value(); });
    const double ratio = messages == 0 ? 0 : static_cast<double>(deliveries) / static_cast<double>(messages);
    told.push_back({{"name", settings.name},
                    {"dialect", settings.dialect},
                    {"channel", settings.channel},
                    {"on_lag", config::to_string(settings.on_lag)},
                    {"source", wanted_source(settings.source)},
                    {"subscribers",
                     sum(lasting, feed,
                         [](const auto& c) { return static_cast<std::uint64_t>(c.subscribers.value()); })},
                    {"channels", cells.channels.value()},
                    {"max_channels", settings.max_channels},
                    {"max_channels_per_client", feed.channels_per_client.load(std::memory_order_relaxed)},
                    {"channel_refusals_total",
                     cells.refusals.value() +
                         sum(lasting, feed, [](const auto& c) { return c.refused_channels.value(); })},
                    {"source_connections", cells.connections.value()},
                    {"source_connections_wanted", cells.wanted.value()},
                    {"channels_without_source", cells.dark.value()},
                    {"messages_total", messages},
                    {"deliveries_total", deliveries},
                    {"deliveries_per_message", ratio},
                    {"skips_total", std::move(skips)},
                    {"too_slow_total", sum(lasting, feed, [](const auto& c) { return c.too_slow.value(); })},
                    {"sources", std::move(connections)}});
  }
  return told;
}

}  // namespace holdfast::server
