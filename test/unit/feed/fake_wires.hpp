#pragma once
// What lies between a hub and its one audience, for simulations: what the audience asks for waits until the
// simulation lets it happen, what the hub tells is told at once.

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "holdfast/feed/audience.hpp"
#include "holdfast/feed/hub.hpp"

namespace holdfast::feed::test {

class Wires : public HubPort, public Hub::Host {
 public:
  Wires(const Wires&) = delete;
  Wires& operator=(const Wires&) = delete;

 protected:
  Wires() = default;
  ~Wires() = default;
  [[nodiscard]] virtual Hub& hub_end() noexcept = 0;
  [[nodiscard]] virtual Audience& audience_end() noexcept = 0;

  [[nodiscard]] bool has_tasks() const noexcept { return !tasks_.empty(); }
  void later(std::function<void()> task) { tasks_.push_back(std::move(task)); }
  void run_task() {
    const auto task = std::move(tasks_.front());
    tasks_.pop_front();
    task();
  }

  void want(FeedState&, const std::string& key, const std::string& lane, std::size_t who) noexcept override {
    later([this, key, lane, who] { hub_end().want(key, lane, who, Clock::now()); });
  }
  void leave(FeedState&, ChannelId id, std::size_t who) noexcept override {
    later([this, id, who] { hub_end().leave(id, who, Clock::now()); });
  }
  void withdraw(FeedState&, const std::string& key, std::size_t who) noexcept override {
    later([this, key, who] { hub_end().withdraw(key, who, Clock::now()); });
  }
  void renew(FeedState&, ChannelId) noexcept override {}
  void count(FeedState&, ChannelId, std::size_t, std::size_t) noexcept override {}

  void send(std::size_t, Opened&& item) override { tell(std::move(item)); }
  void send(std::size_t, Ended&& item) override { tell(std::move(item)); }
  void send(std::size_t, Ruled&& item) override { tell(std::move(item)); }
  void send(std::size_t, Refused&& item) override { tell(std::move(item)); }
  void publish_at(TimePoint) override {
    later([this] { hub_end().publish_now(); });
  }
  void publish(std::size_t, const std::shared_ptr<const Batch>& batch) override {
    Published item;
    item.batch = batch;
    tell(std::move(item));
  }

 private:
  template <class Item>
  void tell(Item item) {
    audience_end().send(std::make_unique<Item>(std::move(item)));
  }

  std::deque<std::function<void()>> tasks_;
};

}  // namespace holdfast::feed::test
