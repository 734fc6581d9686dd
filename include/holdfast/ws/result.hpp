// How the ws module says no: a value with an HTTP status and a sentence.
#pragma once

#include <boost/system/result.hpp>
#include <stdexcept>
#include <string>

namespace holdfast::ws {

// For what a client sent: the answer it gets. For what a backend sent: status 502, and `what` tells
// the log why another backend is tried.
struct Rejection {
  unsigned status = 400;
  std::string what;    // one sentence for body and log; holds no bytes of the peer's
  std::string fields;  // whole extra field lines for the answer, each ended by CRLF: "Allow: GET\r\n"
};

// boost::system::result asks for this when value() is called on an error; only tests do.
[[noreturn]] inline void throw_exception_from_error(const Rejection& rejection,
                                                    const boost::source_location&) {
  throw std::runtime_error(rejection.what);
}

template <class T>
using Judged = boost::system::result<T, Rejection>;

}  // namespace holdfast::ws
