// Package seal is Postern's encryption at rest.
package seal
