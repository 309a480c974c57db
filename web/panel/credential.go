package panel

import (
	"postern/server/control"
	"postern/web/ui"
)

// credentialState is the state of a credential as a page shows it.
func credentialState(c *control.Credential) ui.State {
	switch c.State {
	case "active":
		return ui.State{Class: "ok", Word: "Active"}
	case "revoked":
		return ui.State{Class: "bad", Word: "Revoked"}
	case "rotated":
		return ui.State{Class: "none", Word: "Retired"}
	}
	return ui.State{Class: "none", Word: "Expired"}
}
