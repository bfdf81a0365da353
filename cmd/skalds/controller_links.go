package main

import (
	"errors"

	"github.com/hashicorp/go-hclog"

	"github.com/skalds-go/skalds/controller"
	"github.com/skalds-go/skalds/internal/kafka"
	"github.com/skalds-go/skalds/internal/redis"
)

// controllerLinks are a controller's connections; all connect when they are first used, and again after every loss.
type controllerLinks struct {
	bus   *kafka.ControllerBus
	beats *redis.HeartbeatStore
}

func newControllerLinks(at services, log hclog.Logger) (*controllerLinks, error) {
	if err := at.redis.Check(); err != nil {
		return nil, wrongSettings(err)
	}
	at.kafka.ClientID = "skalds-controller"
	bus, err := kafka.NewControllerBus(at.kafka, log)
	if err != nil {
		return nil, err
	}
	return &controllerLinks{bus: bus, beats: redis.NewHeartbeatStore(at.redis, log)}, nil
}

// ports are what a controller works with, beside its store.
func (l *controllerLinks) ports(store controller.Store) ports {
	return ports{store: store, bus: l.bus, beats: l.beats, registry: l.beats}
}

// Close drops all connections.
func (l *controllerLinks) Close() error { return errors.Join(l.beats.Close(), l.bus.Close()) }
