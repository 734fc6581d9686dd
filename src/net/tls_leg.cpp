#include <arpa/inet.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>
#include <utility>

#include "holdfast/net/tls.hpp"
#include "net/openssl.hpp"
#include "net/plain_leg.hpp"
#include "net/tcp.hpp"

namespace holdfast::net {

namespace {

// The largest record (RFC 8446 section 5.1).
constexpr std::size_t record_bytes = 16UL * 1024;
constexpr std::size_t records_at_once = 4;
constexpr std::size_t most_kept_bytes = (records_at_once + 1) * record_bytes;

// Invariant of every function here: OpenSSL's error queue of the thread is empty on entry and on exit, so
// that SSL_get_error needs no ERR_clear_error in front of each call.
class OpenSslLeg final : public TlsLeg {
 public:
  OpenSslLeg(Socket socket, SSL_CTX* context) : socket_(std::move(socket)), ssl_(SSL_new(context)) {
    if (ssl_ == nullptr) throw std::bad_alloc();
    BIO* bio = BIO_new(bio_method());
    if (bio == nullptr) {
      SSL_free(ssl_);
      throw std::bad_alloc();
    }
    BIO_set_data(bio, this);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_read_ahead(ssl_, 1);  // until `use_scratch`: one read a flight
  }
  ~OpenSslLeg() override { SSL_free(ssl_); }

  [[nodiscard]] SSL* ssl() const noexcept { return ssl_; }

  HandshakeStep handshake() noexcept override {
    kernel_drained_ = false;
    const int outcome = SSL_do_handshake(ssl_);
    if (outcome == 1) {
      established_ = true;
      return HandshakeStep::done;
    }
    switch (SSL_get_error(ssl_, outcome)) {
      case SSL_ERROR_WANT_READ:
        ERR_clear_error();
        return HandshakeStep::want_read;
      case SSL_ERROR_WANT_WRITE:
        ERR_clear_error();
        return HandshakeStep::want_write;
      default:
        break;
    }
    const long verdict = SSL_get_verify_result(ssl_);
    const std::string reason = openssl::take_error("connection closed during the handshake");
    failure_ = verdict == X509_V_OK ? reason : reason + ": " + X509_verify_cert_error_string(verdict);
    return HandshakeStep::failed;
  }

  std::string failure() const override { return failure_; }

  std::string peer_subject() const override {
    const X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (certificate == nullptr) return {};
    const openssl::BioPtr memory(BIO_new(BIO_s_mem()));
    X509_NAME_print_ex(memory.get(), X509_get_subject_name(certificate), 0, XN_FLAG_RFC2253);
    char* data = nullptr;
    const long size = BIO_get_mem_data(memory.get(), &data);
    return {data, static_cast<std::size_t>(size)};
  }

  std::string peer_common_name() const override {
    const X509* certificate = SSL_get0_peer_certificate(ssl_);
    if (certificate == nullptr) return {};
    const X509_NAME* subject = X509_get_subject_name(certificate);
    const int place = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
    if (place < 0) return {};
    unsigned char* text = nullptr;
    const int size =
        ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, place)));
    ERR_clear_error();
    if (size < 0) return {};
    std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
    OPENSSL_free(text);
    return name;
  }

  std::string server_name() const override {
    const char* name = SSL_get_servername(ssl_, TLSEXT_NAMETYPE_host_name);
    return name == nullptr ? "" : name;
  }

  std::string version() const override { return SSL_get_version(ssl_); }

  IoResult read(std::span<std::byte> into) noexcept override {
    refilled_ = false;
    kernel_drained_ = false;
    std::size_t total = 0;
    while (total < into.size()) {
      // Nothing anywhere: don't ask OpenSSL, which would get a buffer only to find that out.
      if (kernel_drained_ && scratch_->begin == scratch_->end && SSL_has_pending(ssl_) == 0) {
        return {total, IoState::drained};
      }
      std::size_t got = 0;
      const int outcome = SSL_read_ex(ssl_, into.data() + total, into.size() - total, &got);
      if (outcome == 1) {
        total += got;
        // Setup plane: one record at a time, the caller decides whether it wants more.
        if (scratch_ == nullptr) return {total, IoState::more};
        continue;
      }
      return {total, read_stop(outcome)};
    }
    return {total, IoState::more};
  }

  IoResult write(std::span<const std::byte> bytes) noexcept override {
    const IoState state = flush();
    // Encrypted by the write before, offered again and sent by now.
    std::size_t total = std::min(sealed_ahead_ - unsent_ahead(), bytes.size());
    sealed_ahead_ -= total;
    if (state != IoState::more) return {total, state};
    while (total < bytes.size()) {
      const std::span<const std::byte> rest = bytes.subspan(total);
      const bool are_several = scratch_ != nullptr && rest.size() > record_bytes;
      const IoResult sent = are_several ? write_records(rest) : write_record(rest);
      total += sent.bytes;
      if (sent.state != IoState::more) return {total, sent.state};
    }
    return {total, IoState::more};
  }

  // Records of their own for small pieces would cost more than the copy.
  IoResult write_gathered(Pieces pieces) noexcept override {
    if (pieces.size() == 1) return write(pieces[0]);
    std::array<std::byte, record_bytes> record;
    std::size_t total = 0;
    std::size_t filled = 0;
    for (std::size_t n = 0; n < pieces.size(); ++n) {
      std::span<const std::byte> piece = pieces[n];
      while (!piece.empty()) {
        const std::size_t now = std::min(piece.size(), record.size() - filled);
        std::memcpy(record.data() + filled, piece.data(), now);
        filled += now;
        piece = piece.subspan(now);
        const bool is_last = n + 1 == pieces.size() && piece.empty();
        if (filled < record.size() && !is_last) continue;
        const IoResult sent = write(std::span(record).first(filled));
        total += sent.bytes;
        if (sent.state != IoState::more) return {total, sent.state};
        filled = 0;
      }
    }
    return {total, IoState::more};
  }
  [[nodiscard]] std::size_t committed_bytes() const noexcept override { return sealed_ahead_; }

  bool seal(Pieces pieces, std::vector<std::byte>& ciphertext) noexcept override {
    if (unsent_ != nullptr || sealed_ahead_ != 0 || broken_) return false;
    const std::size_t before = ciphertext.size();
    sealed_ = &ciphertext;
    const IoResult written = write_gathered(pieces);
    sealed_ = nullptr;
    // All fits into one record, so that nothing is sealed where that fails.
    if (written.state != IoState::more) ciphertext.resize(before);
    return written.state == IoState::more;
  }
  void keep(std::span<const std::byte> rest) noexcept override {
    unsent_ = std::make_unique<Unsent>();
    unsent_->bytes.assign(rest.begin(), rest.end());
  }
  IoState flush() noexcept override {
    while (unsent_ != nullptr) {
      const std::span<const std::byte> rest = std::span(unsent_->bytes).subspan(unsent_->taken);
      const ssize_t sent = send(socket_.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
      if (sent < 0) return would_block_or_fail();
      unsent_->taken += static_cast<std::size_t>(sent);
      if (unsent_->taken == unsent_->bytes.size()) unsent_.reset();
    }
    return IoState::more;
  }

  void cork() noexcept override { corked_ = true; }
  void uncork() noexcept override {
    corked_ = false;
    tcp::push(socket_.get());
  }
  void finish_writing() noexcept override {
    finish_before_end();
    shutdown(socket_.get(), SHUT_WR);
  }
  void finish_before_end() noexcept override {
    corked_ = true;
    if (established_ && !broken_) SSL_shutdown(ssl_);
    ERR_clear_error();
  }

  IoState discard() noexcept override { return tcp::discard(socket_.get()); }
  void limit_unsent() noexcept override { tcp::limit_unsent(socket_.get()); }
  Liveness liveness() const noexcept override { return tcp::liveness(socket_.get()); }
  void abort() noexcept override { tcp::abort(socket_.get()); }
  [[nodiscard]] bool has_read_ahead() const noexcept override { return SSL_has_pending(ssl_) != 0; }
  void limit_reads(std::size_t bytes) noexcept override {
    read_limit_ = std::min(bytes, CipherScratch::capacity);
  }
  void use_scratch(CipherScratch& scratch) noexcept override {
    SSL_set_read_ahead(ssl_, 0);
    scratch_ = &scratch;
  }

 private:
  int descriptor() const noexcept override { return socket_.get(); }

  // To `sealed_`, else to the socket and, where that is full, to `unsent_`.
  IoState encrypt(std::span<const std::byte> record) noexcept {
    std::size_t taken = 0;
    const int outcome = SSL_write_ex(ssl_, record.data(), record.size(), &taken);
    if (outcome == 1) return IoState::more;
    const int error = SSL_get_error(ssl_, outcome);
    ERR_clear_error();
    if (error == SSL_ERROR_WANT_WRITE || error == SSL_ERROR_WANT_READ) return IoState::drained;
    broken_ = true;
    return IoState::failed;
  }

  // What of it is not sent stays here; its plaintext counts as taken only when it has left, so that the
  // caller knows what a slow peer is owed.
  IoResult write_record(std::span<const std::byte> bytes) noexcept {
    const auto record = bytes.first(std::min(record_bytes, bytes.size()));
    const IoState state = encrypt(record);
    if (state != IoState::more) return {0, state};
    if (unsent_ == nullptr) return {record.size(), IoState::more};
    unsent_->ends[0] = unsent_->bytes.size();
    unsent_->records = 1;
    unsent_->ahead = sealed_ahead_ = record.size();
    return {0, IoState::drained};
  }

  // The same for several by one system call.
  IoResult write_records(std::span<const std::byte> bytes) noexcept {
    std::vector<std::byte>& sealed = scratch_->sealed;
    sealed.clear();
    std::array<std::size_t, records_at_once> ends{};
    std::size_t count = 0;
    std::size_t offered = 0;
    IoState state = IoState::more;
    sealed_ = &sealed;
    while (count < records_at_once && offered < bytes.size()) {
      const auto record = bytes.subspan(offered, std::min(record_bytes, bytes.size() - offered));
      state = encrypt(record);
      if (state != IoState::more) break;
      offered += record.size();
      ends[count++] = sealed.size();
    }
    sealed_ = nullptr;
    const ssize_t sent = sealed.empty() ? 0 : send(socket_.get(), sealed.data(), sealed.size(), send_flags());
    if (sent < 0 && would_block_or_fail() == IoState::failed) return {0, IoState::failed};
    const std::size_t gone = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    if (gone == sealed.size()) return {offered, state};
    keep(std::span(sealed).subspan(gone));
    unsent_->ends = ends;
    unsent_->records = count;
    for (std::size_t& end : unsent_->ends) end -= std::min(end, gone);
    unsent_->ahead = offered;
    sealed_ahead_ = unsent_ahead();
    const std::size_t taken = offered - sealed_ahead_;
    return {taken, state == IoState::failed ? state : IoState::drained};
  }

  // Of `sealed_ahead_` what has not left: the peer can read whole records, and nothing of a part.
  [[nodiscard]] std::size_t unsent_ahead() const noexcept {
    if (unsent_ == nullptr) return 0;
    const auto* const begin = unsent_->ends.begin();
    const auto* const end = begin + unsent_->records;
    const auto* const first_left = std::upper_bound(begin, end, unsent_->taken);
    if (first_left == end) return 0;
    return unsent_->ahead - static_cast<std::size_t>(first_left - begin) * record_bytes;
  }

  // False: too much is kept by now; who asks and asks and never reads is not served.
  [[nodiscard]] bool keep_more(std::span<const std::byte> record) noexcept {
    if (record.empty()) return true;
    if (unsent_ == nullptr) unsent_ = std::make_unique<Unsent>();
    if (unsent_->bytes.size() > most_kept_bytes) return false;
    unsent_->bytes.insert(unsent_->bytes.end(), record.begin(), record.end());
    return true;
  }

  IoState would_block_or_fail() noexcept {
    if (tcp::would_block(errno)) return IoState::drained;
    broken_ = true;
    return IoState::failed;
  }

  IoState read_stop(int outcome) noexcept {
    const int error = SSL_get_error(ssl_, outcome);
    ERR_clear_error();
    switch (error) {
      case SSL_ERROR_WANT_READ:
      case SSL_ERROR_WANT_WRITE:
        return scratch_ != nullptr && !kernel_drained_ ? IoState::more : IoState::drained;
      case SSL_ERROR_ZERO_RETURN:
        throw_away();
        return IoState::end;
      default:
        throw_away();
        broken_ = true;
        return IoState::failed;
    }
  }

  // After an end nobody reads this leg again: its ciphertext must not stay in the shared scratch.
  void throw_away() noexcept {
    if (scratch_ != nullptr) scratch_->begin = scratch_->end = 0;
  }

  int pull(char* out, int wanted) noexcept {
    if (scratch_ == nullptr) {
      if (kernel_drained_) return -1;
      const int got = from_kernel(out, static_cast<std::size_t>(wanted));
      kernel_drained_ = got < wanted;
      return got;
    }
    CipherScratch& scratch = *scratch_;
    if (scratch.begin == scratch.end) {
      // One refill a read: the plaintext of a full scratch fits in what the caller offered, not more.
      if (refilled_ || kernel_drained_) return -1;
      refilled_ = true;
      const int got = from_kernel(reinterpret_cast<char*>(scratch.bytes.get()), read_limit_);
      if (got <= 0) {
        kernel_drained_ = true;
        return got;
      }
      kernel_drained_ = static_cast<std::size_t>(got) < read_limit_;
      scratch.begin = 0;
      scratch.end = static_cast<std::size_t>(got);
    }
    const std::size_t given = std::min(static_cast<std::size_t>(wanted), scratch.end - scratch.begin);
    std::memcpy(out, scratch.bytes.get() + scratch.begin, given);
    scratch.begin += given;
    return static_cast<int>(given);
  }

  // > 0 bytes, 0 end, -1 would block, -2 dead.
  int from_kernel(char* out, std::size_t size) const noexcept {
    const ssize_t got = recv(socket_.get(), out, size, 0);
    if (got >= 0) return static_cast<int>(got);
    return tcp::would_block(errno) ? -1 : -2;
  }

  static int bio_read(BIO* bio, char* out, int size) {
    BIO_clear_retry_flags(bio);
    const int got = static_cast<OpenSslLeg*>(BIO_get_data(bio))->pull(out, size);
    if (got == -1) BIO_set_retry_read(bio);
    if (got == 0) BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
    return got > 0 ? got : (got == 0 ? 0 : -1);
  }

  // A segment of its own costs as much as ten system calls. TLS 1.3's ticket goes with the answer (the kernel
  // waits for it 200 ms at most), the close_notify with the FIN.
  [[nodiscard]] int send_flags() const noexcept {
    const bool more_follows =
        corked_ || (SSL_get_state(ssl_) == TLS_ST_SW_SESSION_TICKET && SSL_version(ssl_) == TLS1_3_VERSION);
    return MSG_NOSIGNAL | (more_follows ? MSG_MORE : 0);
  }

  static int bio_write(BIO* bio, const char* data, int size) {
    BIO_clear_retry_flags(bio);
    auto* const leg = static_cast<OpenSslLeg*>(BIO_get_data(bio));
    if (leg->sealed_ != nullptr) {
      const auto* const bytes = reinterpret_cast<const std::byte*>(data);
      leg->sealed_->insert(leg->sealed_->end(), bytes, bytes + size);
      return size;
    }
    const std::span<const std::byte> record(reinterpret_cast<const std::byte*>(data),
                                            static_cast<std::size_t>(size));
    // What is sealed ahead leaves by a write only, which tells the caller so.
    const IoState state = leg->sealed_ahead_ != 0 ? IoState::drained : leg->flush();
    const ssize_t sent =
        state == IoState::more ? send(leg->socket_.get(), data, record.size(), leg->send_flags()) : -1;
    const bool is_blocked =
        state == IoState::drained || (sent < 0 && state == IoState::more && tcp::would_block(errno));
    if (sent < 0 && !is_blocked) return -1;
    const std::size_t gone = sent < 0 ? 0 : static_cast<std::size_t>(sent);
    // OpenSSL is never left with a half written record: what it answers to new keys must not stop a read.
    if (leg->established_) return leg->keep_more(record.subspan(gone)) ? size : -1;
    if (is_blocked) BIO_set_retry_write(bio);
    return static_cast<int>(sent);
  }

  static long bio_control(BIO* bio, int command, long, void*) {
    if (command == BIO_CTRL_FLUSH) return 1;
    if (command == BIO_CTRL_EOF) return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0 ? 1 : 0;
    return 0;
  }

  // Constant after its first use; OpenSSL asks for one method object per kind of BIO.
  static const BIO_METHOD* bio_method() {
    static const BIO_METHOD* const method = [] {
      BIO_METHOD* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "holdfast leg");
      BIO_meth_set_read(made, bio_read);
      BIO_meth_set_write(made, bio_write);
      BIO_meth_set_ctrl(made, bio_control);
      return made;
    }();
    return method;
  }

  struct Unsent {
    std::vector<std::byte> bytes;
    std::size_t taken = 0;
    std::array<std::size_t, records_at_once> ends{};  // of records that are sealed ahead; all but the last
    std::size_t records = 0;                          // hold record_bytes
    std::size_t ahead = 0;                            // plaintext of these
  };

  Socket socket_;
  SSL* ssl_;
  std::vector<std::byte>* sealed_ = nullptr;  // within `seal`: instead of the socket
  std::unique_ptr<Unsent> unsent_;            // ciphertext, in front of what is written
  std::size_t sealed_ahead_ = 0;              // plaintext of it that the next write begins with
  CipherScratch* scratch_ = nullptr;
  std::size_t read_limit_ = CipherScratch::capacity;
  bool established_ = false;
  bool corked_ = false;          // a FIN is to follow
  bool broken_ = false;          // a fatal error was seen: OpenSSL forbids SSL_shutdown then
  bool refilled_ = false;        // within one read
  bool kernel_drained_ = false;  // within one read
  std::string failure_;
};

}  // namespace

std::unique_ptr<TlsLeg> make_tls_server_leg(Socket socket, const TlsServer& server) {
  auto leg = std::make_unique<OpenSslLeg>(std::move(socket), server.default_context());
  SSL_set_accept_state(leg->ssl());
  return leg;
}

std::unique_ptr<TlsLeg> make_tls_server_leg(std::unique_ptr<Leg> plain, const TlsServer& server) {
  return make_tls_server_leg(take_socket(std::move(plain)), server);
}

std::unique_ptr<TlsLeg> make_tls_client_leg(Socket socket, const TlsClient& client, const std::string& host) {
  auto leg = std::make_unique<OpenSslLeg>(std::move(socket), client.context());
  const std::string& name = client.server_name().empty() ? host : client.server_name();
  std::array<unsigned char, sizeof(in6_addr)> binary{};
  const bool is_ip = inet_pton(AF_INET, name.c_str(), binary.data()) == 1 ||
                     inet_pton(AF_INET6, name.c_str(), binary.data()) == 1;
  if (is_ip) {
    X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(leg->ssl()), name.c_str());
  } else {
    SSL_set_tlsext_host_name(leg->ssl(), name.c_str());
    SSL_set_hostflags(leg->ssl(), X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    SSL_set1_host(leg->ssl(), name.c_str());
  }
  SSL_set_connect_state(leg->ssl());
  return leg;
}

}  // namespace holdfast::net
