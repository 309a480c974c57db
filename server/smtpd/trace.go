package smtpd

import "crypto/tls"

// protocol is the keyword of the Received field (RFC 3848; RFC 6531, section 3.7.3).
func (c *conn) protocol() string {
	word := "SMTP"
	switch {
	case !c.extended:
		return word // HELO knows no extension
	case c.tx != nil && c.tx.utf8:
		word = "UTF8SMTP"
	default:
		word = "ESMTP"
	}
	if c.tls != nil {
		word += "S"
	}
	if c.authenticated {
		word += "A"
	}
	return word
}

// tlsVersion is as in "TLS1.3", empty in clear.
func (c *conn) tlsVersion() string {
	if c.tls == nil {
		return ""
	}
	switch v := c.tls.ConnectionState().Version; v {
	case tls.VersionTLS12:
		return "TLS1.2"
	case tls.VersionTLS13:
		return "TLS1.3"
	default:
		return tls.VersionName(v)
	}
}

// tlsCipher is the name of the cipher suite, empty in clear.
func (c *conn) tlsCipher() string {
	if c.tls == nil {
		return ""
	}
	return tls.CipherSuiteName(c.tls.ConnectionState().CipherSuite)
}
