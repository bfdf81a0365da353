package main

import (
	"context"
	"time"
)

// createToMainCluster is createToMain through services: the task by REST to a controller, into MongoDB, by Kafka to a host.
func createToMainCluster(ctx context.Context, l *lab) ([]value, error) {
	return l.createInCluster(ctx, false)
}

// createToMainClusterSQLite is the same with the controller's store in a file.
func createToMainClusterSQLite(ctx context.Context, l *lab) ([]value, error) {
	return l.createInCluster(ctx, true)
}

func (l *lab) createInCluster(ctx context.Context, storeIsFile bool) (out []value, err error) {
	why, err := l.withCluster(ctx, storeIsFile, func(c *cluster) error {
		p, err := c.controller(ctx)
		if err != nil {
			return err
		}
		if _, _, err := l.createOnce(ctx, &p.site, "first"); err != nil { // the pool learns what is asked for
			return err
		}
		out, err = l.creations(ctx, &p.site, l.poolRests)
		return err
	})
	if why != "" {
		return []value{{leftOut: why}}, nil
	}
	return out, err
}

// tasksPerSecondCluster is tasksPerSecond through services, as a number and as the same ratio.
func tasksPerSecondCluster(ctx context.Context, l *lab) ([]value, error) {
	return l.batchesInCluster(ctx, false)
}

// tasksPerSecondClusterSQLite is the same with the controller's store in a file.
func tasksPerSecondClusterSQLite(ctx context.Context, l *lab) ([]value, error) {
	return l.batchesInCluster(ctx, true)
}

func (l *lab) batchesInCluster(ctx context.Context, storeIsFile bool) (out []value, err error) {
	why, err := l.withCluster(ctx, storeIsFile, func(c *cluster) error {
		p, err := c.controller(ctx)
		if err != nil {
			return err
		}
		ours, bare, n, err := l.batches(ctx, &p.site)
		if err != nil {
			return err
		}
		out = []value{
			{value: float64(n) / ours.Seconds(), n: n},
			{value: float64(bare) / float64(ours), reference: bare / time.Duration(n), n: n},
		}
		return nil
	})
	if why != "" {
		return []value{{leftOut: why}, {leftOut: why}}, nil
	}
	return out, err
}
