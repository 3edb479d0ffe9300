-- SPDX-License-Identifier: BSD-3-Clause
-- Copyright (c) 2026 The mcxrelay authors
--
-- Pktgen-DPDK: the highest rate without loss, for media that may come again and again (opaque or plain legs).
--   pktgen -l 2-6 -n 4 -a PCI_RAN -a PCI_CORE -- -P -m "[3:4].0,[5:6].1" -s 0:media.pcap -f bench/pktgen/rate_search.lua
-- Port 0 sends to the relay's port "ran", port 1 receives from "core". RECEIVERS is mcxgen's --receivers.

package.path = package.path .. ";?.lua;test/?.lua;app/?.lua"
require "Pktgen"

local SENDING, RECEIVING = "0", "1"
local RECEIVERS = 1
local SECONDS, SETTLE_MS = 30, 2000
local LOSS = 0 -- packets that may be missing
local low, high, step = 0, 100, 1 -- per cent of the line rate

local function packets_of(stats, port, way)
	return stats[tonumber(port)][way]
end

local function trial(rate)
	pktgen.clr()
	pktgen.set(SENDING, "rate", rate)
	pktgen.start(SENDING)
	pktgen.delay(SECONDS * 1000)
	pktgen.stop(SENDING)
	pktgen.delay(SETTLE_MS)
	local stats = pktgen.portStats("all", "port")
	local sent = packets_of(stats, SENDING, "opackets")
	local received = packets_of(stats, RECEIVING, "ipackets")
	local lost = sent * RECEIVERS - received
	printf("%5.1f %%  sent %d  received %d  lost %d\n", rate, sent, received, lost)
	return sent > 0 and lost <= LOSS
end

pktgen.pcap(SENDING, "on")
pktgen.set(SENDING, "count", 0)
while high - low > step do
	local middle = (low + high) / 2
	if trial(middle) then
		low = middle
	else
		high = middle
	end
end
printf("no loss at %.1f %% of the line rate\n", low)
