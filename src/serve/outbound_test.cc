#include "serve/outbound.h"

#include <gtest/gtest.h>

namespace kontext::serve {
namespace {

TEST(Outbound, SpecialRangesAreNotPublic) {
  for (const char* a : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2600::1", "2a00:1450::1"})
    EXPECT_TRUE(IsPublicAddress(a)) << a;
  for (const char* a : {"127.0.0.1",
                        "10.1.2.3",
                        "172.16.0.1",
                        "172.31.255.255",
                        "192.168.0.1",
                        "169.254.169.254",
                        "100.64.0.1",
                        "0.0.0.0",
                        "255.255.255.255",
                        "224.0.0.1",
                        "198.19.0.1",
                        "::1",
                        "::",
                        "fe80::1",
                        "fc00::1",
                        "ff02::1",
                        "::ffff:10.0.0.1",
                        "64:ff9b::a00:1",
                        "2002:a00:1::1",
                        "2001::1",
                        "2001:db8::1",
                        "no address"})
    EXPECT_FALSE(IsPublicAddress(a)) << a;
}

TEST(Outbound, OnlyNamedHostsAndWildcardsOnlyPublic) {
  const auto ok = [](const char* url, std::vector<std::string> hosts) {
    return ParseTarget(url, hosts, "--flag").ok();
  };
  EXPECT_FALSE(ok("https://example.org/", {}));
  EXPECT_TRUE(ok("https://Example.org/", {"example.ORG"}));
  EXPECT_FALSE(ok("https://example.org.evil.test/", {"example.org"}));
  EXPECT_FALSE(ok("https://notexample.org/", {"*.example.org"}));
  EXPECT_TRUE(ok("https://a.example.org/", {"*.example.org"}));
  EXPECT_TRUE(ok("http://10.0.0.1/", {"10.0.0.1"}));
  EXPECT_TRUE(ok("http://[::1]/", {"::1"}));
  EXPECT_FALSE(ok("http://10.0.0.1/", {"*"}));
  EXPECT_FALSE(ok("http://[::1]/", {"*"}));
  const auto target = ParseTarget("https://a.test:81/x?y=1", {"a.test"}, "--flag");
  ASSERT_TRUE(target.ok());
  EXPECT_EQ(target->port, 81);
  EXPECT_EQ(target->path, "/x?y=1");
  EXPECT_TRUE(target->tls && target->any_address);
}

}  // namespace
}  // namespace kontext::serve
