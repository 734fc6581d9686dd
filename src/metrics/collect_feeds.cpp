// What feeds tell, and their cells.

#include <array>
#include <cassert>

#include "metrics/collector.hpp"
#include "metrics/families.hpp"

namespace holdfast::metrics {

namespace {

// In the order of config::OnLag, as the configuration names them.
constexpr std::array<std::string_view, lag_policy_count> policies{"conflate", "skip_to_snapshot",
                                                                  "drop_oldest", "disconnect"};

}  // namespace

FeedCells& Registry::feed(std::size_t pump_thread, std::string_view feed) {
  assert(pump_thread < pump_threads_);
  auto found = feeds_.find(feed);
  if (found == feeds_.end())
    found = feeds_.emplace(std::string(feed), std::make_unique<FeedCells[]>(pump_threads_)).first;
  return found->second[pump_thread];
}

SourceCells& Registry::source(std::string_view feed) {
  auto found = sources_.find(feed);
  if (found == sources_.end())
    found = sources_.emplace(std::string(feed), std::make_unique<SourceCells>()).first;
  return *found->second;
}

void Registry::Collector::feeds(Families& out) const {
  const auto on_pumps = [this](const std::string& feed, Counter FeedCells::*counter) {
    std::uint64_t sum = 0;
    const auto found = registry_.feeds_.find(feed);
    for (std::size_t i = 0; found != registry_.feeds_.end() && i < registry_.pump_threads_; ++i)
      sum += (found->second[i].*counter).value();
    return sum;
  };
  FamilyBuilder subscribers = gauge_family("holdfast_feed_subscribers", "Clients that follow a feed.");
  FamilyBuilder channels =
      gauge_family("holdfast_feed_channels", "Channels that somebody follows, or that linger.");
  FamilyBuilder up =
      gauge_family("holdfast_feed_source_up", "1 = each channel has an open connection to its source.");
  FamilyBuilder connections =
      gauge_family("holdfast_feed_source_connections", "Open connections to sources.");
  FamilyBuilder wanted =
      gauge_family("holdfast_feed_source_connections_wanted",
                   "That there should be: one for each channel, redundant ones, those that take over.");
  FamilyBuilder connects =
      counter_family("holdfast_feed_source_connects_total", "Tries to connect to a source, by result.");
  FamilyBuilder losses = counter_family("holdfast_feed_source_losses_total",
                                        "Connections to sources that ended without our will.");
  FamilyBuilder forwards = counter_family("holdfast_feed_client_messages_total",
                                          "Messages of clients for the source, by what became of them.");
  FamilyBuilder messages = counter_family("holdfast_feed_messages_total", "Messages of the source.");
  FamilyBuilder bytes = counter_family("holdfast_feed_bytes_total", "Their payload.");
  FamilyBuilder duplicates = counter_family(
      "holdfast_feed_duplicates_total", "Messages that another connection had brought before: thrown away.");
  FamilyBuilder deflations = counter_family("holdfast_feed_deflations_total",
                                            "Messages that were deflated, once for all subscribers.");
  FamilyBuilder commands = counter_family("holdfast_feed_commands_total",
                                          "Messages that ask the source for channels, or leave them.");
  FamilyBuilder refusals = counter_family("holdfast_feed_channel_refusals_total",
                                          "Channels that clients asked for and could not have.");
  FamilyBuilder requests = counter_family("holdfast_feed_requests_total",
                                          "Questions of clients to the source, by what became of them.");
  FamilyBuilder shared =
      counter_family("holdfast_feed_requests_shared_total",
                     "Those that shared the answer to the same question of another client.");
  FamilyBuilder strays = counter_family("holdfast_feed_stray_messages_total",
                                        "Messages of the source that are for no channel and no question.");
  for (const auto& [feed, cells] : registry_.sources_) {
    const Labels labels{{"feed", feed}};
    commands.counter({{"feed", feed}, {"command", "subscribe"}},
                     static_cast<double>(cells->subscribes.value()));
    commands.counter({{"feed", feed}, {"command", "unsubscribe"}},
                     static_cast<double>(cells->unsubscribes.value()));
    refusals.counter(
        labels, static_cast<double>(cells->refusals.value() + on_pumps(feed, &FeedCells::refused_channels)));
    requests.counter({{"feed", feed}, {"result", "answered"}}, static_cast<double>(cells->answered.value()));
    requests.counter({{"feed", feed}, {"result", "failed"}}, static_cast<double>(cells->unanswered.value()));
    shared.counter(labels, static_cast<double>(cells->shared.value()));
    strays.counter(labels, static_cast<double>(cells->strays.value()));
    channels.gauge(labels, static_cast<double>(cells->channels.value()));
    up.gauge(labels, cells->dark.value() == 0 ? 1 : 0);
    connections.gauge(labels, static_cast<double>(cells->connections.value()));
    wanted.gauge(labels, static_cast<double>(cells->wanted.value()));
    connects.counter({{"feed", feed}, {"result", "ok"}}, static_cast<double>(cells->connects_ok.value()));
    connects.counter({{"feed", feed}, {"result", "failed"}},
                     static_cast<double>(cells->connects_failed.value()));
    losses.counter(labels, static_cast<double>(cells->losses.value()));
    forwards.counter({{"feed", feed}, {"result", "forwarded"}},
                     static_cast<double>(cells->forwarded.value()));
    forwards.counter(
        {{"feed", feed}, {"result", "dropped"}},
        static_cast<double>(cells->forwards_dropped.value() + on_pumps(feed, &FeedCells::forwards_dropped)));
    messages.counter(labels, static_cast<double>(cells->messages.value()));
    bytes.counter(labels, static_cast<double>(cells->bytes.value()));
    duplicates.counter(labels, static_cast<double>(cells->duplicates.value()));
    deflations.counter(labels, static_cast<double>(cells->deflations.value()));
  }
  FamilyBuilder deliveries = counter_family("holdfast_feed_deliveries_total",
                                            "Messages handed to the kernel, once for each subscriber.");
  FamilyBuilder delivered = counter_family("holdfast_feed_delivered_bytes_total", "Their bytes on the wire.");
  FamilyBuilder skips = counter_family("holdfast_feed_lag_skips_total",
                                       "Messages that subscribers who can't keep up did not get, by policy.");
  FamilyBuilder slow = counter_family("holdfast_feed_too_slow_total",
                                      "Subscribers that were closed because they can't keep up.");
  FamilyBuilder delivery = histogram_family("holdfast_feed_delivery_seconds",
                                            "From a source's message read to its delivery to a subscriber.");
  FamilyBuilder spread = histogram_family("holdfast_feed_spread_seconds",
                                          "From the first to the last subscriber of a turn's messages.");
  FamilyBuilder subscriptions = gauge_family("holdfast_feed_subscriptions",
                                             "Channels that clients follow, each counted for each client.");
  for (const auto& [feed, blocks] : registry_.feeds_) {
    const auto total = [&blocks = blocks, this](const auto& counter_of) {
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < registry_.pump_threads_; ++i) sum += counter_of(blocks[i]).value();
      return static_cast<double>(sum);
    };
    const Labels labels{{"feed", feed}};
    std::int64_t present = 0;
    std::int64_t followed = 0;
    std::vector<const Histogram*> delays;
    std::vector<const Histogram*> spreads;
    for (std::size_t i = 0; i < registry_.pump_threads_; ++i) {
      present += blocks[i].subscribers.value();
      followed += blocks[i].subscriptions.value();
      delays.push_back(&blocks[i].delivery);
      spreads.push_back(&blocks[i].spread);
    }
    subscribers.gauge(labels, static_cast<double>(present));
    subscriptions.gauge(labels, static_cast<double>(followed));
    deliveries.counter(labels, total([](const FeedCells& c) -> const Counter& { return c.deliveries; }));
    delivered.counter(labels, total([](const FeedCells& c) -> const Counter& { return c.delivered_bytes; }));
    for (std::size_t n = 0; n < policies.size(); ++n)
      skips.counter({{"feed", feed}, {"policy", policies[n]}},
                    total([n](const FeedCells& c) -> const Counter& { return c.skips[n]; }));
    slow.counter(labels, total([](const FeedCells& c) -> const Counter& { return c.too_slow; }));
    delivery.histogram(labels, delays);
    spread.histogram(labels, spreads);
  }
  for (FamilyBuilder* family :
       {&subscribers, &channels,      &up,         &connections, &connects,  &losses, &forwards, &messages,
        &bytes,       &duplicates,    &deflations, &deliveries,  &delivered, &skips,  &slow,     &delivery,
        &spread,      &subscriptions, &commands,   &refusals,    &requests,  &shared, &strays,   &wanted})
    std::move(*family).append_to(out);
}

}  // namespace holdfast::metrics
