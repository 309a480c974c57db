package server

import (
	"crypto/tls"
	"log/slog"
	"sync/atomic"
)

// certificates holds the server's certificate and reads its files again when it
// is told to.
type certificates struct {
	files   TLSConfig
	current atomic.Pointer[tls.Certificate]
}

// loadCertificates reads the operator's own files; nil where none are configured
// and an authority is asked instead.
func loadCertificates(cfg Config) (*certificates, error) {
	if cfg.TLS.Cert == "" && (cfg.ACME.Directory != "" || cfg.managed()) {
		return nil, nil
	}
	if cfg.TLS.Cert == "" {
		return nil, &ConfigError{Key: "tls.cert", Text: "no certificate is configured, and no door for agents opens without TLS",
			Hint: `set tls.cert and tls.key to the files of a certificate for this host, or acme.directory = "letsencrypt"`} // AC-10
	}
	c := &certificates{files: cfg.TLS}
	if err := c.load(); err != nil {
		return nil, &ConfigError{Key: "tls.cert", Text: "cannot use the certificate", Err: err}
	}
	return c, nil
}

func (c *certificates) load() error {
	pair, err := tls.LoadX509KeyPair(c.files.Cert, c.files.Key)
	if err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

// get serves tls.Config.GetCertificate: one certificate, whatever name was asked
// for, since mail clients are configured with names that we do not know.
func (c *certificates) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	return c.current.Load(), nil
}

// config is what doors do TLS with; nil where there are no files.
func (c *certificates) config() *tls.Config {
	if c == nil {
		return nil
	}
	return &tls.Config{GetCertificate: c.get}
}

// reload reads the files again, where there are any. A bad file leaves the old
// certificate in service.
func (c *certificates) reload(log *slog.Logger) {
	if c == nil {
		return
	}
	if err := c.load(); err != nil {
		log.Error("the certificate could not be read again; the old one stays in service", "error", err)
		return
	}
	log.Info("the certificate was read again", "expires", c.current.Load().Leaf.NotAfter)
}
