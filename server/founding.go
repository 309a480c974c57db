package server

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"postern/dns"
	"postern/server/setup"
	"postern/storage"
)

// unnamed is the name of a server that has none yet: nobody can ever have it (RFC 6761,
// section 6.4).
const unnamed = "unnamed.invalid"

// managed reports whether no configuration names this server: what set-up says counts.
func (c *Config) managed() bool { return c.Host == "" }

// found takes over what set-up says, where the configuration names no server: its name,
// and whether mail is received and handed out.
func (s *Server) found(ctx context.Context) error {
	if s.managed = s.cfg.managed(); !s.managed {
		return nil
	}
	orgs, err := s.store.Organizations(ctx)
	if err != nil {
		return err
	}
	if len(orgs) > 0 {
		if s.wired, err = setup.Load(ctx, s.store, orgs[0].ID); err != nil {
			return err
		}
	}
	s.cfg = s.cfg.with(s.wired)
	if !s.wired.Open {
		l := &s.cfg.Listen
		l.SMTP, l.Submission, l.Submissions, l.IMAPS = off, off, off, off
	}
	return nil
}

// with is the configuration with what a set-up says.
func (c Config) with(t setup.Settings) Config {
	c.Listen.Panel = c.panelAddr() // 8443, as long as nothing names the server
	c.Host = t.Host
	if c.Host == "" {
		c.Host = unnamed
	}
	if len(t.Addresses) > 0 {
		c.Addresses = t.Addresses
	}
	if t.Directory != "" {
		c.ACME.Directory, c.ACME.Contact = t.Directory, t.Contact
	}
	return c
}

// hostName is the name of this server for people; empty while it has none.
func (s *Server) hostName() string {
	if s.cfg.Host == unnamed {
		return ""
	}
	return s.cfg.Host
}

// wireSetup makes what knows how far the installation is. base is the configuration
// without what set-up says.
func (s *Server) wireSetup(ctx context.Context, base Config, resolver dns.Resolver, looked setup.Looked) error {
	o := setup.Options{
		Managed: s.managed, Wired: s.wired, Resolver: resolver, Port: s.cfg.Relay.Port, Now: s.now,
		Check:     func(t setup.Settings) error { c := base.with(t); return c.Check() },
		Used:      func() { os.Remove(base.LinkFile()) }, // which is there or not
		Apply:     func() { s.again.Do(func() { close(s.renew) }) },
		Addresses: func() []string { return texts(s.cfg.hostAddresses()) }, Looked: looked,
	}
	if !s.managed {
		o.Host = s.cfg.Host
	}
	s.guide = setup.New(s.store, s.directory, o)
	if !s.managed || s.cfg.TLS.Cert != "" {
		return nil
	}
	org, err := s.directory.Organization(ctx)
	if err != nil {
		return err
	}
	cert, key, err := s.guide.Certificate(ctx, org.ID, s.newStandIn, func(cert []byte) bool { return lasting(cert, s.now()) })
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(cert, key)
	s.standIn = &pair
	return err
}

func texts(all []netip.Addr) []string {
	var text []string
	for _, a := range all {
		text = append(text, a.String())
	}
	return text
}

// newStandIn makes the certificate that stands in until an authority or a file gives
// another: for the addresses of this machine, since there is no name yet.
func (s *Server) newStandIn() (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	leaf := certificateTemplate(s.now(), "Postern, not yet set up")
	leaf.NotAfter = s.now().Add(setup.CertificateAge)
	leaf.KeyUsage, leaf.ExtKeyUsage = x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	leaf.DNSNames = []string{"localhost"}
	for _, a := range append(s.cfg.hostAddresses(), netip.AddrFrom4([4]byte{127, 0, 0, 1})) {
		leaf.IPAddresses = append(leaf.IPAddresses, a.AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, leaf, leaf, &private.PublicKey, private)
	if err != nil {
		return nil, nil, err
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	return encodePEM("CERTIFICATE", der), encodePEM("PRIVATE KEY", keyDER), err
}

// lasting reports whether a certificate holds for another week.
func lasting(cert []byte, now time.Time) bool {
	block, _ := pem.Decode(cert)
	if block == nil {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	return err == nil && now.Add(7*24*time.Hour).Before(leaf.NotAfter) && now.After(leaf.NotBefore)
}

// LinkFile is where the newest link of the set-up stands, beside the control socket,
// for who may read what root may.
func (c *Config) LinkFile() string { return filepath.Join(filepath.Dir(c.Control), "setup-link") }

// invite says where a link leads and what certificate stands there, and leaves the link
// in its file.
func (s *Server) invite(link string, _ time.Time) (url, fingerprint string) {
	url = "https://" + s.panelAt() + "/setup/" + link
	if s.cfg.Control != off {
		if err := replaceFile(s.cfg.LinkFile(), []byte(url+"\n")); err != nil {
			s.log.Warn("the link of the set-up is in no file", "error", err)
		}
	}
	if s.standIn != nil {
		fingerprint = colons(sha256.Sum256(s.standIn.Certificate[0]))
	}
	return url, fingerprint
}

// panelAt is the host and port under which a person finds the panel: by an address,
// since a name may lead here only later.
func (s *Server) panelAt() string {
	host, port, err := net.SplitHostPort(s.Addr("panel").String())
	if err != nil {
		return s.cfg.Listen.Panel
	}
	if ip, err := netip.ParseAddr(host); err == nil && ip.IsUnspecified() {
		host = "127.0.0.1"
		if known := append(s.cfg.hostAddresses(), privateAddresses()...); len(known) > 0 {
			host = known[0].String()
		}
	}
	return net.JoinHostPort(host, port)
}

// privateAddresses are those of this machine in a network of its own.
func privateAddresses() (all []netip.Addr) {
	interfaces, _ := net.InterfaceAddrs()
	for _, a := range interfaces {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().IsPrivate() {
			all = append(all, p.Addr().Unmap())
		}
	}
	return all
}

// colons writes a fingerprint as browsers do.
func colons(sum [sha256.Size]byte) string {
	parts := make([]string, len(sum))
	for i, b := range sum {
		parts[i] = fmt.Sprintf("%02X", b)
	}
	return strings.Join(parts, ":")
}

// Welcome tells who starts a server that is not set up yet how to go on. Where somebody
// has an account, or the set-up ended, there is nothing to tell.
func (s *Server) Welcome(ctx context.Context, out io.Writer) error {
	if !s.managed {
		return nil
	}
	org, err := s.directory.Organization(ctx)
	if err != nil {
		return err
	}
	state, err := s.guide.State(ctx, org.ID)
	if err != nil || !state.Needed || state.Anybody {
		return err
	}
	link, ends, err := s.guide.Link(ctx, storage.System, org.ID)
	if err != nil {
		return err
	}
	url, fingerprint := s.invite(link, ends)
	fmt.Fprintf(out, `Postern is running in set-up mode. No mail port is open yet.

  Open   %s     (works once, until %s UTC)
  Check  the certificate's SHA-256 is %s
  Or     sudo postern setup --host mail.example.com --admin you@example.com
`, url, ends.UTC().Format("15:04"), fingerprint) // who closed it finds the link in its file
	return nil
}

// handOver takes the listeners along to the server that takes this one's place, where
// that listens at the same addresses: who connects in between waits and is answered.
func (s *Server) handOver() map[string]net.Listener {
	kept, next := map[string]net.Listener{}, s.cfg
	if reloaded := s.next.Load(); reloaded != nil {
		if next = reloaded.Config; next.managed() {
			next = next.with(s.wired)
		}
	}
	was, will := s.cfg.doors(), next.doors()
	for _, d := range s.doors {
		i := slices.IndexFunc(was, func(p place) bool { return p.name == d.name })
		if i >= 0 && was[i].addr != will[i].addr || d.name == "control" && s.cfg.Control != next.Control {
			continue
		}
		if l, err := again(d.listener); err == nil {
			kept[d.name] = l
		} else {
			s.log.Warn("a door is closed for a moment", "door", d.name, "error", err)
		}
	}
	return kept
}

// again is another listener on the socket of one, which may then be closed.
func again(l net.Listener) (net.Listener, error) {
	var f *os.File
	var err error
	switch l := l.(type) {
	case *net.TCPListener:
		f, err = l.File()
	case *net.UnixListener:
		l.SetUnlinkOnClose(false)
		f, err = l.File()
	default:
		return nil, fmt.Errorf("no socket: %T", l)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	kept, err := net.FileListener(f)
	if unix, ok := kept.(*net.UnixListener); ok {
		unix.SetUnlinkOnClose(true)
	}
	return kept, err
}
