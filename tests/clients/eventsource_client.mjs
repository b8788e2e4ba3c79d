// Reads an event stream with npm's eventsource@2 (found in tests/browser/node_modules): node eventsource_client.mjs URL
//
// Prints each event that the library emits, of whatever type, as a JSON array [type, data, id]; ends at 204, as the
// library does. Anything else that it calls an error but a connection that is cut or refused ends this with status 1.

import { createRequire } from 'node:module';

const EventSource = createRequire(new URL('../browser/', import.meta.url))('eventsource');
const source = new EventSource(process.argv[2]);
const { emit } = source;
source.emit = (type, event) => {
  if (type === 'error') {
    if (event.status === 204) process.exitCode = 0;
    else if (event.status) throw new Error(`status ${event.status}`);
  } else if (type !== 'open' && type !== 'newListener') {
    console.log(JSON.stringify([type, event.data, event.lastEventId]));
  }
  return emit.call(source, type, event);
};
// The library emits only what is listened to: everything shall be.
source.listeners = () => [() => {}];
source.on('error', () => {});
