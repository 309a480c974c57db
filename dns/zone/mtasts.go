package zone

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"time"

	"postern/dns"
)

// maxPolicyAge is the longest life of a policy (RFC 8461, section 3.2).
const maxPolicyAge = 31_557_600 * time.Second

// MTASTSPolicy is the text of a policy (RFC 8461, section 3.2), which is served at
// https://mta-sts.DOMAIN/.well-known/mta-sts.txt: mode none, testing or enforce,
// and the names that an exchanger's certificate may have, each a host or "*." and a
// domain.
func MTASTSPolicy(mode string, mx []string, maxAge time.Duration) (string, error) {
	if !slices.Contains([]string{"none", "testing", "enforce"}, mode) {
		return "", fmt.Errorf("zone: MTA-STS mode %q", mode)
	}
	if maxAge < 0 || maxAge > maxPolicyAge {
		return "", fmt.Errorf("zone: MTA-STS policy for %s: at most a year", maxAge)
	}
	if len(mx) == 0 && mode != "none" {
		return "", fmt.Errorf("zone: MTA-STS mode %s needs an exchanger", mode)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version: STSv1\r\nmode: %s\r\n", mode)
	for _, pattern := range mx {
		star := ""
		if rest, ok := strings.CutPrefix(pattern, "*."); ok {
			star, pattern = "*.", rest
		}
		name, err := dns.Name(pattern)
		if err != nil {
			return "", fmt.Errorf("zone: exchanger of an MTA-STS policy: %w", err)
		}
		fmt.Fprintf(&b, "mx: %s%s\r\n", star, name)
	}
	fmt.Fprintf(&b, "max_age: %d\r\n", maxAge/time.Second)
	return b.String(), nil
}

// MTASTSID is the id of a policy in the _mta-sts record (RFC 8461, section 3.1): it
// is another one whenever the policy is, and nothing has to be remembered for that.
func MTASTSID(policy string) string {
	sum := sha256.Sum256([]byte(policy))
	return hex.EncodeToString(sum[:16])
}
