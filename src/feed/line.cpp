#include "feed/line.hpp"

#include <algorithm>
#include <utility>

#include "holdfast/config/match.hpp"
#include "holdfast/net/tls.hpp"

namespace holdfast::feed {

namespace {

constexpr std::chrono::milliseconds deduper_stays{200};
constexpr std::size_t most_waiting_bytes = 256UL * 1024;

// A URL as if it were an upstream of one backend.
std::shared_ptr<const dial::Destination> destination_of(const config::SourceUrl& url,
                                                        const config::Source& settings) {
  auto destination = std::make_shared<dial::Destination>();
  destination->settings.connect_timeout = settings.connect_timeout;
  if (url.scheme != config::SourceUrl::Scheme::wss) return destination;
  auto made = source_tls(settings);
  if (made)
    destination->tls = std::move(made.value());  // else the strand refuses; the blueprint has tried it
  return destination;
}

}  // namespace

Result<std::shared_ptr<const net::TlsClient>> source_tls(const config::Source& settings) {
  config::UpstreamTls tls;
  tls.verify = settings.tls.verify == config::SourceTls::Verify::yes ? config::UpstreamTls::Verify::yes
                                                                     : config::UpstreamTls::Verify::no;
  tls.ca = {settings.tls.ca, settings.tls.ca_pem};
  tls.server_name = settings.tls.server_name;
  return net::TlsClient::create(tls);
}

Line::Line(SourceThread& thread, FeedState& feed, Receiver& receiver, const config::Feed& settings,
           std::string channel)
    : thread_(thread), feed_(feed), receiver_(receiver), channel_(std::move(channel)) {
  settle(settings);
  const bool redundant = settings_.mode == config::SourceMode::redundant;
  for (std::size_t url = 0; url < (redundant ? settings_.urls.size() : 1); ++url) begin(url, {});
}

Line::~Line() {
  for (std::size_t slot = 0; slot < places_.size(); ++slot) {
    if (places_[slot].strand != nullptr) retire(slot);
  }
}

void Line::settle(const config::Feed& settings) {
  settings_ = settings.source;
  const auto captures = config::captures_in(settings.channel, channel_);
  settings_.path = config::fill_target(settings_.path, captures);
  destinations_.clear();
  for (config::SourceUrl& url : settings_.urls) {
    url.target = config::fill_target(url.target, captures);
    destinations_.push_back(destination_of(url, settings_));
  }
}

bool Line::has_several() const noexcept {
  return std::ranges::count_if(places_, [](const Place& each) { return each.strand != nullptr; }) > 1;
}

void Line::begin(std::size_t first_url, std::vector<std::size_t> replaced) {
  const auto free = std::ranges::find_if(places_, [](const Place& each) { return each.strand == nullptr; });
  const auto slot = static_cast<std::size_t>(free - places_.begin());
  if (slot >= Deduper::most_slots) return;
  if (free == places_.end()) places_.emplace_back();
  Place& place = places_[slot];
  place.url = first_url;
  // One URL each in redundant mode: what fails there is for the others to make up for.
  config::Source settings = settings_;
  std::vector<std::shared_ptr<const dial::Destination>> destinations = destinations_;
  if (settings.mode == config::SourceMode::redundant) {
    settings.urls = {settings_.urls[first_url]};
    destinations = {destinations_[first_url]};
    first_url = 0;
  }
  place.strand = std::make_shared<Strand>(thread_, static_cast<StrandOwner&>(*this), std::move(settings),
                                          std::move(destinations), slot, first_url);
  place.replaces = std::move(replaced);
  feed_.source_cells().wanted.add(1);
  if (has_several() && deduper_ == nullptr) deduper_ = std::make_unique<Deduper>();
  Strand::start(place.strand);
}

void Line::retire(std::size_t slot) {
  Place& place = places_[slot];
  place.strand->retire();
  place.strand.reset();
  feed_.source_cells().wanted.add(-1);
  place.replaces.clear();
  for (Place& each : places_) std::erase(each.replaces, slot);
  note_closed(slot);
  if (!has_several()) one_left_at_ = Clock::now();
}

void Line::opened(std::size_t slot) {
  feed_.source_cells().connects_ok.add();
  open_.opened();
  places_[slot].is_counted_open = true;
  if (deduper_ != nullptr) deduper_->begin(slot, Clock::now());
  thread_.surroundings().log->inform("feed " + feed_.name() + ": source " +
                                     places_[slot].strand->view(Clock::now()).url + " is open");
  told_.clear();
  receiver_.opened(slot);
  waiting_bytes_ = 0;
  for (const Said& each : std::exchange(waiting_, {})) forward(each.opcode, each.message);
}

void Line::came(std::size_t slot, ws::Opcode opcode, std::span<const std::byte> message, TimePoint when) {
  receiver_.came(slot, {opcode, message, when, FrameKind::message});
}

bool Line::is_first(std::size_t slot, std::uint64_t hash, TimePoint when) {
  if (deduper_ == nullptr || deduper_->is_first(slot, hash, when)) return true;
  feed_.source_cells().duplicates.add();
  return false;
}

void Line::note_closed(std::size_t slot) {
  if (!std::exchange(places_[slot].is_counted_open, false)) return;
  open_.closed();
  receiver_.closed(slot);
}

void Line::lost(std::size_t slot, const std::string& why) {
  Place& place = places_[slot];
  const bool was_open = place.is_counted_open;
  if (was_open) {
    feed_.source_cells().losses.add();
  } else {
    feed_.source_cells().connects_failed.add();
  }
  const std::string sentence = "feed " + feed_.name() + ": source " + place.strand->view(Clock::now()).url +
                               (was_open ? " is lost: " : " can't be had: ") + why;
  if (sentence != told_) thread_.surroundings().log->warn(sentence);
  told_ = sentence;
  note_closed(slot);
}

bool Line::replaces(std::size_t slot, std::size_t old) const noexcept {
  return std::ranges::find(places_[slot].replaces, old) != places_[slot].replaces.end();
}

bool Line::is_going(std::size_t slot) const noexcept {
  for (std::size_t each = 0; each < places_.size(); ++each) {
    if (replaces(each, slot)) return true;
  }
  return false;
}

void Line::rotate(std::size_t slot) {
  if (is_going(slot) || !places_[slot].replaces.empty()) return;
  // In standby mode the preferred one is tried again.
  begin(settings_.mode == config::SourceMode::redundant ? places_[slot].url : 0, {slot});
}

void Line::replace(const config::Feed& settings) {
  settle(settings);
  // Who is not open yet is for nothing; who is stays until one of the new ones has spoken.
  std::vector<std::size_t> open;
  for (std::size_t slot = 0; slot < places_.size(); ++slot) {
    if (places_[slot].strand == nullptr) continue;
    if (places_[slot].strand->is_open()) {
      places_[slot].replaces.clear();
      open.push_back(slot);
    } else {
      retire(slot);
    }
  }
  const bool redundant = settings_.mode == config::SourceMode::redundant;
  const std::size_t wanted = redundant ? settings_.urls.size() : 1;
  for (std::size_t n = 0; n < wanted; ++n) {
    std::vector<std::size_t> replaced;
    for (std::size_t each = n; each < open.size(); each += wanted) replaced.push_back(open[each]);
    begin(n, std::move(replaced));
  }
}

void Line::tick(TimePoint now) {
  for (std::size_t slot = 0; slot < places_.size(); ++slot) {
    Place& place = places_[slot];
    if (place.strand == nullptr) continue;
    const bool takes_over = !place.replaces.empty() && place.strand->is_open() &&
                            receiver_.has_taken_over(slot, now - place.strand->opened_at());
    if (takes_over) {
      for (const std::size_t old : std::exchange(place.replaces, {})) {
        if (places_[old].strand != nullptr) retire(old);
      }
    }
    const bool is_old = settings_.rotate_after.count() != 0 && place.strand->is_open() &&
                        now - place.strand->opened_at() >= settings_.rotate_after;
    if (is_old || place.strand->should_leave()) rotate(slot);
  }
  if (deduper_ != nullptr && !has_several() && now - one_left_at_ > deduper_stays) deduper_.reset();
}

bool Line::send(std::size_t slot, std::string_view text) {
  const auto& strand = places_[slot].strand;
  return strand != nullptr &&
         strand->send(strand, ws::Opcode::text, std::as_bytes(std::span(text.data(), text.size())));
}

bool Line::send(ws::Opcode opcode, std::span<const std::byte> message) {
  return std::ranges::any_of(places_, [&](const Place& each) {
    return each.strand != nullptr && each.strand->send(each.strand, opcode, message);
  });
}

// While no connection is open a little is kept; what is beyond is lost, and counted.
void Line::forward(ws::Opcode opcode, std::span<const std::byte> message) {
  metrics::SourceCells& cells = feed_.source_cells();
  if (send(opcode, message)) return cells.forwarded.add();
  const bool none_open = std::ranges::none_of(
      places_, [](const Place& each) { return each.strand != nullptr && each.strand->is_open(); });
  if (!none_open || waiting_bytes_ + message.size() > most_waiting_bytes) return cells.forwards_dropped.add();
  waiting_bytes_ += message.size();
  waiting_.push_back({opcode, {message.begin(), message.end()}});
}

std::vector<SourceView> Line::views(TimePoint now) const {
  std::vector<SourceView> seen;
  for (const Place& each : places_) {
    if (each.strand == nullptr) continue;
    seen.push_back(each.strand->view(now));
    seen.back().channel = channel_;
  }
  return seen;
}

}  // namespace holdfast::feed
