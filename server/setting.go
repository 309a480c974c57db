package server

import (
	"log/slog"
	"strconv"
	"strings"
)

// setting is one value of a Config by its name in the file, for what treats all
// alike: variables, flags, listings.
type setting struct {
	key    string
	parse  func(string) error
	format func() string
}

// settings lists all values of c in the order of the documentation.
func (c *Config) settings() []setting {
	return []setting{
		text("host", &c.Host),
		list("addresses", &c.Addresses),
		text("data", &c.Data),
		text("control", &c.Control),
		text("listen.smtp", &c.Listen.SMTP),
		text("listen.submission", &c.Listen.Submission),
		text("listen.submissions", &c.Listen.Submissions),
		text("listen.imaps", &c.Listen.IMAPS),
		text("listen.dns", &c.Listen.DNS),
		{"listen.http", setText(&c.Listen.HTTP), c.httpAddr},
		{"listen.https", setText(&c.Listen.HTTPS), c.httpsAddr},
		{"listen.panel", setText(&c.Listen.Panel), c.panelAddr},
		{"listen.metrics", setText(&c.Listen.Metrics), c.metricsAddr},
		list("proxy.from", &c.Proxy.From),
		list("proxy.listeners", &c.Proxy.Listeners),
		text("keys.root", &c.Keys.Root),
		{"keys.witness", setText(&c.Keys.Witness), c.WitnessFile},
		text("tls.cert", &c.TLS.Cert),
		text("tls.key", &c.TLS.Key),
		text("acme.directory", &c.ACME.Directory),
		text("acme.contact", &c.ACME.Contact),
		list("acme.challenges", &c.ACME.Challenges),
		text("acme.ca_file", &c.ACME.CAFile),
		text("relay.smarthost", &c.Relay.SmartHost),
		text("relay.user", &c.Relay.User),
		text("relay.password_file", &c.Relay.PasswordFile),
		text("relay.tls", &c.Relay.TLS),
		text("relay.ca_file", &c.Relay.CAFile),
		number("relay.port", &c.Relay.Port),
		number("relay.policy_port", &c.Relay.PolicyPort),
		boolean("relay.allow_private", &c.Relay.AllowPrivate),
		boolean("webhook.allow_private", &c.Webhook.AllowPrivate),
		list("dns.servers", &c.DNS.Servers),
		text("dns.zone", &c.DNS.Zone),
		boolean("dns.trust_ad", &c.DNS.TrustAD),
		boolean("dns.check", &c.DNS.Check),
		number("limits.connections", &c.Limits.Connections),
		number("limits.per_network", &c.Limits.PerNetwork),
		number("limits.message_size", &c.Limits.Message),
		text("log.level", &c.Log.Level),
		text("log.format", &c.Log.Format),
	}
}

func setText(p *string) func(string) error {
	return func(v string) error { *p = v; return nil }
}

func text(key string, p *string) setting {
	return setting{key, setText(p), func() string { return *p }}
}

func number[N int | int64](key string, p *N) setting {
	parse := func(v string) error {
		n, err := strconv.ParseInt(v, 10, strconv.IntSize)
		if err == nil {
			*p = N(n)
		}
		return err
	}
	return setting{key, parse, func() string { return strconv.FormatInt(int64(*p), 10) }}
}

func boolean(key string, p *bool) setting {
	parse := func(v string) (err error) { *p, err = strconv.ParseBool(v); return err }
	return setting{key, parse, func() string { return strconv.FormatBool(*p) }}
}

// list is a setting of several values, in a variable divided by commas.
func list(key string, p *[]string) setting {
	parse := func(v string) error {
		*p = strings.FieldsFunc(v, func(r rune) bool { return r == ',' || r == ' ' })
		return nil
	}
	return setting{key, parse, func() string { return strings.Join(*p, ",") }}
}

func (l LogConfig) level() (level slog.Level, err error) {
	err = level.UnmarshalText([]byte(l.Level))
	return level, err
}
