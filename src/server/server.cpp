#include "holdfast/server/server.hpp"

#include "server/process.hpp"

namespace holdfast::server {

Server::Server(Options options) : process_(std::make_unique<Process>(std::move(options))) {}
Server::~Server() = default;
int Server::run() {
  return process_->run();
}
void Server::terminate() {
  process_->terminate();
}

}  // namespace holdfast::server
