package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"postern/dns"
	"postern/server/queue"
)

// terms are what one host must show before it gets the message, and why.
type terms struct {
	domain string // the destination
	host   string // the name that it is asked for in TLS, and that its certificate is to have
	smart  bool

	policy string // what the destination publishes that applies: queue.PolicyNone and so on
	text   []string
	demand string // what forbids a connection without TLS; empty: nothing does
	proof  bool   // what demands it asks for a proof, too

	dane    []dns.TLSA // if any can be used, one must match, and nothing else counts
	names   []string   // that a certificate below a trust anchor of DANE may have
	listed  bool       // the policy of MTA-STS lists the host
	vouched bool       // nobody on the way can have put the host in the destination's place
	failure string     // what is wrong already, and no reason to refuse
}

// terms finds what a host must show. A fault passes it over.
func (a *attempt) terms(ctx context.Context, h hop, p places) (terms, *fault) {
	t := terms{domain: a.domain, host: h.name, smart: h.smart != nil, policy: queue.PolicyNone}
	// RFC 8689, section 4.1: beside REQUIRETLS the field TLS-Required is passed over.
	ignore := a.m.TLSOptional && !a.m.RequireTLS && !a.m.Authenticated
	if t.smart {
		t.demand, t.proof = queue.DemandSmartHost, true
	}
	if f := a.dane(ctx, &t, h, p); f != nil && !ignore {
		return t, f
	}
	// RFC 8461, section 2: what DANE says is not for MTA-STS to override.
	if a.sts.known && len(t.dane) == 0 {
		t.listed = a.sts.policy.lists(h.name)
		t.policy, t.text = queue.PolicySTS, a.sts.policy.lines()
		switch {
		case a.sts.policy.mode == modeEnforce:
			t.demand, t.proof = queue.DemandSTS, true
		case !t.listed:
			t.failure = failValidation
		}
	}
	t.vouched = a.way.authentic || t.listed || h.name == a.domain || strings.HasSuffix(h.name, "."+a.domain)
	if ignore && !t.smart {
		t.demand, t.proof = "", false
	}
	switch {
	case a.m.RequireTLS:
		t.demand, t.proof = queue.DemandRequireTLS, true
	case a.m.Authenticated && !t.smart:
		t.demand, t.proof = queue.DemandPolicy, true
	}
	if t.policy == queue.PolicySTS && a.sts.policy.mode == modeEnforce && !t.listed && !ignore {
		f := temporary(NotInPolicy, "4.7.5")
		f.failure = failValidation
		return t, f
	}
	return t, nil
}

// dane looks for TLSA records of a host whose name and addresses DNSSEC vouches
// for (RFC 7672, section 2.2). A lookup that fails passes the host over: whoever
// can make it fail must gain nothing.
func (a *attempt) dane(ctx context.Context, t *terms, h hop, p places) *fault {
	if !a.way.authentic || !p.authentic || t.smart {
		return nil
	}
	for _, base := range []string{p.alias, h.name} { // RFC 7672, section 2.2.3
		if base == "" {
			continue
		}
		found, err := a.relay.config.Resolver.LookupTLSA(ctx, tlsaName(h.port, base))
		switch {
		case errors.Is(err, dns.ErrNotFound), err == nil && !found.Authentic:
			continue
		case err != nil:
			f := lookupFailed(ctx, err)
			f.failure = failDNSSEC
			return f
		}
		t.policy, t.text = queue.PolicyTLSA, tlsaText(found.Records)
		t.demand = queue.DemandDANE
		if t.dane = usable(found.Records); len(t.dane) == 0 {
			// RFC 7672, section 2.2: TLS without authentication is what is left.
			t.failure = failTLSA
			return nil
		}
		t.host, t.proof = base, true // RFC 7672, section 8.1: the name that is asked for
		t.names = slices.DeleteFunc([]string{base, h.name, a.domain, a.way.alias}, func(s string) bool { return s == "" })
		return nil
	}
	return nil
}

// security is the part of a result that is known before anybody is asked.
func (t *terms) security() Security {
	return Security{Policy: t.policy, PolicyDomain: t.domain, PolicyText: t.text, VerifiedBy: queue.ProofNone, TLSFailure: t.failure, Demand: t.demand}
}

// errProof ends a handshake whose certificate does not convince.
var errProof = errors.New("the host is not authenticated")

// judge says what a certificate proves, and whether it must end the handshake.
// failure is what TLS reports call what is wrong with it, whether or not that
// matters here.
func (t *terms) judge(state *tls.ConnectionState, roots *x509.CertPool) (proof, failure string, err error) {
	proof = queue.ProofNone
	if len(t.dane) > 0 {
		if failure = t.matchDANE(state.PeerCertificates); failure == "" {
			return queue.ProofDANE, "", nil
		}
	} else {
		switch verified := verify(state.PeerCertificates, t.host, roots); {
		case verified != nil:
			failure = certificateFailure(verified)
		case t.listed:
			return queue.ProofSTS, t.failure, nil
		case t.vouched || t.smart || !t.proof:
			return queue.ProofPKIX, t.failure, nil
		default:
			// The certificate is that of a name which anybody on the way to our
			// resolver can have given us.
			failure = failValidation
		}
	}
	if t.proof {
		return proof, failure, errProof
	}
	if t.failure != "" {
		failure = t.failure
	}
	return proof, failure, nil
}

// verify holds a chain against the roots (RFC 5280) and the host's name (RFC
// 6125), which a wildcard for its first label may stand for.
func verify(chain []*x509.Certificate, name string, roots *x509.CertPool) error {
	if len(chain) == 0 {
		return errProof
	}
	between := x509.NewCertPool()
	for _, cert := range chain[1:] {
		between.AddCert(cert)
	}
	_, err := chain[0].Verify(x509.VerifyOptions{DNSName: name, Roots: roots, Intermediates: between})
	return err
}

// count adds a session to what TLS reports are made of, if it got as far as TLS.
func (a *attempt) count(t *terms, f *fault) {
	if f.failure == "" && f.reason != "" {
		return // it was not for TLS that it failed
	}
	a.report(queue.TLSSession{Policy: t.policy, PolicyText: t.text, Host: a.at.host, IP: a.at.ip, Failure: f.failure})
}

func (a *attempt) report(s queue.TLSSession) {
	s.PolicyDomain = a.domain
	a.sessions = append(a.sessions, s)
}
