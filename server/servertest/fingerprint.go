package servertest

import (
	"github.com/chromedp/cdproto/webauthn"
	"github.com/chromedp/chromedp"
)

// Fingerprint is the device in front of a tab that keeps passkeys and knows its
// person, as the sensor of a laptop does. It is Chromium's own; Authenticator is for
// who has no browser.
type Fingerprint struct {
	tab *Tab
	id  webauthn.AuthenticatorID
}

// Fingerprint gives the tab such a device, which knows the person at once.
func (b *Tab) Fingerprint() *Fingerprint {
	b.t.Helper()
	_, err := chromedp.Call(b.ctx, webauthn.Enable, webauthn.EnableParams{})
	b.must(err)
	made, err := chromedp.Call(b.ctx, webauthn.AddVirtualAuthenticator, webauthn.AddVirtualAuthenticatorParams{Options: &webauthn.VirtualAuthenticatorOptions{
		Protocol: webauthn.AuthenticatorProtocolCtap2, Transport: webauthn.AuthenticatorTransportInternal,
		HasResidentKey: true, HasUserVerification: true, IsUserVerified: true, AutomaticPresenceSimulation: true}})
	b.must(err)
	return &Fingerprint{b, made.AuthenticatorID}
}

// Knows says whether the finger on the device is its person's.
func (f *Fingerprint) Knows(person bool) {
	f.tab.t.Helper()
	_, err := chromedp.Call(f.tab.ctx, webauthn.SetUserVerified, webauthn.SetUserVerifiedParams{AuthenticatorID: f.id, IsUserVerified: person})
	f.tab.must(err)
}
