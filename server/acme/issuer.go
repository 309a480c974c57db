package acme

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"

	"github.com/caddyserver/certmagic"
	"github.com/google/uuid"
	"github.com/mholt/acmez/v3"
	"github.com/mholt/acmez/v3/acme"

	"postern/storage"
	"postern/storage/audit"
)

// issuer asks one authority. It is certmagic's for what it does with a
// certificate, and not its own ACMEIssuer: that would listen on ports by itself,
// answer challenges that it does not know, and ask a person at the terminal.
type issuer struct {
	directory  string // URL
	contact    string // mail address; may be empty
	challenges *challenges
	store      *storage.Store
	org        func(context.Context) (uuid.UUID, error) // whose the account is
	http       *http.Client
}

// Bounds of a conversation with an authority.
const (
	attemptTime = 5 * time.Minute // of one attempt, with all challenges
	requestTime = 30 * time.Second
	maxAnswer   = 1 << 20 // bytes
)

// client talks to the authority over TLS that is verified, with answers that are
// bounded.
func client(roots *x509.CertPool) *http.Client {
	return &http.Client{Timeout: requestTime, Transport: bounded{&http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSHandshakeTimeout: requestTime, ForceAttemptHTTP2: true,
		TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}, // CO-1
	}}}
}

// bounded cuts the answers of an authority.
type bounded struct{ next http.RoundTripper }

// RoundTrip asks, and lets no more through than an answer may have.
func (b bounded) RoundTrip(q *http.Request) (*http.Response, error) {
	r, err := b.next.RoundTrip(q)
	if err == nil {
		r.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(r.Body, maxAnswer), r.Body}
	}
	return r, err
}

// IssuerKey names the authority in the paths of files.
func (i *issuer) IssuerKey() string {
	u, err := url.Parse(i.directory)
	if err != nil {
		return i.directory
	}
	return certmagic.StorageKeys.Safe(strings.Trim(u.Host+strings.ReplaceAll(u.Path, "/", "-"), "-"))
}

// Issue asks for a certificate, by one challenge after the other until one
// succeeds.
func (i *issuer) Issue(ctx context.Context, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	a, ok := ctx.Value(attemptKey{}).(*attempt)
	if !ok {
		return nil, errors.New("acme: an attempt that nobody made")
	}
	if len(a.order) == 0 {
		return nil, errors.New("no challenge can be answered: open listen.http or listen.https, or delegate the zone to this server")
	}
	var failed []error
	for _, challenge := range a.order {
		cert, err := i.issueBy(ctx, challenge, csr)
		if err == nil {
			a.challenge = challenge
			return cert, nil
		}
		failed = append(failed, fmt.Errorf("%s: %w", challenge, err))
		if ctx.Err() != nil || !askAgain(err) {
			break
		}
	}
	return nil, errors.Join(failed...)
}

// askAgain reports whether another challenge may succeed where one failed.
func askAgain(err error) bool {
	var problem acme.Problem
	var unreachable *url.Error
	if !errors.As(err, &problem) {
		return !errors.As(err, &unreachable)
	}
	switch problem.Type {
	case acme.ProblemTypeRateLimited, acme.ProblemTypeRejectedIdentifier, acme.ProblemTypeUserActionRequired,
		acme.ProblemTypeExternalAccountRequired, acme.ProblemTypeCAA, acme.ProblemTypeUnsupportedIdentifier:
		return false
	}
	return true
}

func (i *issuer) issueBy(ctx context.Context, challenge string, csr *x509.CertificateRequest) (*certmagic.IssuedCertificate, error) {
	solver, err := i.challenges.solver(challenge)
	if err != nil {
		return nil, err
	}
	c := &acmez.Client{
		Client:           &acme.Client{Directory: i.directory, HTTPClient: i.http, UserAgent: "postern", PollTimeout: attemptTime},
		ChallengeSolvers: map[string]acmez.Solver{challenge: solver},
	}
	chains, err := i.obtain(ctx, c, csr)
	var problem acme.Problem
	if errors.As(err, &problem) && problem.Type == acme.ProblemTypeAccountDoesNotExist {
		if err := i.forgetAccount(ctx); err != nil {
			return nil, err
		}
		chains, err = i.obtain(ctx, c, csr)
	}
	if err != nil {
		return nil, err
	}
	if len(chains) == 0 {
		return nil, errors.New("the authority sent no certificate")
	}
	return &certmagic.IssuedCertificate{Certificate: chains[0].ChainPEM, Metadata: chains[0]}, nil
}

func (i *issuer) obtain(ctx context.Context, c *acmez.Client, csr *x509.CertificateRequest) ([]acme.Certificate, error) {
	account, err := i.account(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("account: %w", err)
	}
	order, err := acmez.OrderParametersFromCSR(account, csr)
	if err != nil {
		return nil, err
	}
	return c.ObtainCertificate(ctx, order)
}

// account is ours at the authority: the one that is kept, or a new one.
func (i *issuer) account(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	kept, err := i.store.CertificateFile(ctx, i.accountPath("json"))
	if errors.Is(err, storage.ErrNotFound) {
		return i.newAccount(ctx, c)
	}
	if err != nil {
		return acme.Account{}, err
	}
	key, err := i.store.CertificateFile(ctx, i.accountPath("key"))
	if err != nil {
		return acme.Account{}, err
	}
	var account acme.Account
	if err := json.Unmarshal(kept.Value, &account); err != nil {
		return account, err
	}
	account.PrivateKey, err = certmagic.PEMDecodePrivateKey(key.Value)
	return account, err
}

func (i *issuer) accountPath(ext string) string {
	return path.Join("acme", i.IssuerKey(), "account."+ext)
}

// newAccount makes an account, and agrees to the terms of service: whoever
// configures an authority's directory does.
func (i *issuer) newAccount(ctx context.Context, c *acmez.Client) (acme.Account, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return acme.Account{}, err
	}
	ask := acme.Account{TermsOfServiceAgreed: true, PrivateKey: key}
	if i.contact != "" {
		ask.Contact = []string{"mailto:" + i.contact}
	}
	account, err := c.NewAccount(ctx, ask)
	if err != nil {
		return account, err
	}
	return account, i.keepAccount(ctx, &account, key)
}

func (i *issuer) keepAccount(ctx context.Context, account *acme.Account, key *ecdsa.PrivateKey) error {
	text, err := json.Marshal(account)
	if err != nil {
		return err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	org, err := i.org(ctx)
	if err != nil {
		return err
	}
	return i.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.KeyCreate, Outcome: audit.OK, Org: org,
			Fields: audit.Fields{audit.Word(audit.KeyPurpose, "acme-account"), audit.Word(audit.KeyAuthority, word(i.IssuerKey()))}})
		for ext, value := range map[string][]byte{"json": text, "key": pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})} {
			f := storage.CertificateFile{Head: storage.Head{Org: org}, Name: i.accountPath(ext), Value: value}
			if err := tx.PutCertificateFile(e, &f); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetAccount removes an account that the authority does not know any more.
func (i *issuer) forgetAccount(ctx context.Context) error {
	all, err := i.store.CertificateFiles(ctx, path.Dir(i.accountPath(""))+"/")
	if err != nil || len(all) == 0 {
		return err
	}
	return i.store.Write(ctx, storage.System, func(tx *storage.Tx) error {
		e := tx.Record(audit.Event{Verb: audit.CertificateRemove, Outcome: audit.OK, Org: all[0].Org,
			Fields: audit.Fields{audit.Word(audit.KeyPurpose, "acme-account"), audit.Word(audit.KeyAuthority, word(i.IssuerKey()))}})
		for n := range all {
			if err := tx.DeleteCertificateFile(e, &all[n]); err != nil {
				return err
			}
		}
		return nil
	})
}

// word makes a word of the audit log's alphabet.
func word(s string) string {
	s = strings.Map(func(r rune) rune {
		if r < 0x80 && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("-._:", r)) {
			return r
		}
		return '-'
	}, s)
	if s == "" {
		return "none"
	}
	return s[:min(len(s), audit.MaxWord)]
}
