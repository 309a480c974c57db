// Package server is the roof of Postern: the configuration, the wiring of all
// rooms by hand, start and stop.
package server
