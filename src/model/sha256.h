// SHA-256 of bytes as they come, and of files.
#ifndef KONTEXT_MODEL_SHA256_H_
#define KONTEXT_MODEL_SHA256_H_

#include <string>

#include "base/status.h"
#include "kontext/request.h"  // Pixels
#include "tensor/weight_rows.h"

struct evp_md_ctx_st;  // OpenSSL's EVP_MD_CTX

namespace kontext {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void Add(ByteSpan bytes);
  // 64 hexadecimal digits of all that was added; begins anew. kInternal if this OpenSSL has no
  // SHA-256.
  Result<std::string> Take();

 private:
  evp_md_ctx_st* context_;
  bool ok_ = false;
};

// Of what a picture shows, not of its file: of "WIDTHxHEIGHTxCHANNELS\n" and its bytes. So a copy
// that was saved anew without loss has the same sum. A mask is a picture of one channel.
Result<std::string> Sha256OfPixels(const Pixels& pixels);

// 64 hexadecimal digits. Reads the whole file: about a second per GB.
Result<std::string> Sha256OfFile(const std::string& path);

}  // namespace kontext

#endif  // KONTEXT_MODEL_SHA256_H_
