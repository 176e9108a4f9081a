// SHA-256 of bytes as they come, and of files.
#ifndef KONTEXT_MODEL_SHA256_H_
#define KONTEXT_MODEL_SHA256_H_

#include <string>

#include "base/status.h"
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

// 64 hexadecimal digits. Reads the whole file: about a second per GB.
Result<std::string> Sha256OfFile(const std::string& path);

}  // namespace kontext

#endif  // KONTEXT_MODEL_SHA256_H_
