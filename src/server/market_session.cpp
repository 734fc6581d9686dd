#include "server/market_session.hpp"

#include <nlohmann/json.hpp>

#include "server/market_walk.hpp"

namespace holdfast::server {

namespace {

using Json = nlohmann::ordered_json;

constexpr int invalid_request = 2;
constexpr int invalid_json = 3;
constexpr std::string_view combined_path = "/stream";
constexpr std::string_view raw_path = "/ws";
constexpr std::string_view streams_argument = "streams=";

std::string refused(int code, const std::string& why, const Json& id) {
  return Json{{"error", {{"code", code}, {"msg", why}}}, {"id", id}}.dump();
}

std::string accepted(const Json& result, const Json& id) {
  return Json{{"result", result}, {"id", id}}.dump();
}

bool is_id(const Json& id) {
  return id.is_null() || id.is_number_integer() || id.is_string();
}

// Binance takes any name and then says nothing; a demo rather tells about a typing error.
std::string why_unknown(const Json& names) {
  if (!names.is_array()) return "Invalid request: params must be an array";
  for (const Json& name : names) {
    if (!name.is_string()) return "Invalid request: params must be strings";
    if (!MarketWalk::has_stream(name.get_ref<const std::string&>()))
      return "Invalid request: unknown stream " + name.get_ref<const std::string&>();
  }
  return {};
}

}  // namespace

MarketSession::MarketSession(std::string_view target) : combined_(target.starts_with(combined_path)) {
  const auto query = target.find('?');
  if (query != std::string_view::npos && target.substr(query + 1).starts_with(streams_argument)) {
    add_known(target.substr(query + 1 + streams_argument.size()));
  } else if (!combined_ && target.starts_with(raw_path)) {
    add_known(target.substr(raw_path.size(), query - raw_path.size()));
  }
}

void MarketSession::add_known(std::string_view names) {
  while (!names.empty()) {
    const auto end = std::min(names.find('/'), names.size());
    if (MarketWalk::has_stream(names.substr(0, end))) streams_.emplace(names.substr(0, end));
    names.remove_prefix(std::min(end + 1, names.size()));
  }
}

std::string MarketSession::answer(std::string_view text) {
  const Json message = Json::parse(text, nullptr, false);
  if (message.is_discarded()) return refused(invalid_json, "Invalid JSON", nullptr);
  if (!message.is_object() || !message.contains("method") || !message["method"].is_string())
    return refused(invalid_request, "Invalid request: missing field `method`", nullptr);
  const Json id = message.value("id", Json());
  if (!is_id(id))
    return refused(invalid_request, "Invalid request: request ID must be an integer or a string", nullptr);
  const auto& method = message["method"].get_ref<const std::string&>();
  const Json params = message.value("params", Json::array());
  if (method == "LIST_SUBSCRIPTIONS") return accepted(streams_, id);
  if (method == "SUBSCRIBE" || method == "UNSUBSCRIBE") {
    if (const std::string why = why_unknown(params); !why.empty()) return refused(invalid_request, why, id);
    for (const Json& name : params) {
      if (method == "SUBSCRIBE") streams_.insert(name);
      if (method == "UNSUBSCRIBE") streams_.erase(name);
    }
    return accepted(nullptr, id);
  }
  if (method == "SET_PROPERTY" || method == "GET_PROPERTY") {
    const std::size_t size = method == "SET_PROPERTY" ? 2 : 1;
    if (!params.is_array() || params.size() != size || params[0] != "combined")
      return refused(0, "Unknown property", id);
    if (method == "GET_PROPERTY") return accepted(combined_, id);
    if (!params[1].is_boolean()) return refused(1, "Invalid value type: expected Boolean", id);
    combined_ = params[1];
    return accepted(nullptr, id);
  }
  return refused(invalid_request,
                 "Invalid request: unknown variant `" + method +
                     "`, expected one of SUBSCRIBE, UNSUBSCRIBE, LIST_SUBSCRIPTIONS, SET_PROPERTY, "
                     "GET_PROPERTY",
                 id);
}

std::string MarketSession::told(std::string_view stream, std::string_view data) const {
  if (!combined_) return std::string(data);
  std::string out = R"({"stream":")";
  out += stream;
  out += R"(","data":)";
  out += data;
  return out + "}";
}

}  // namespace holdfast::server
