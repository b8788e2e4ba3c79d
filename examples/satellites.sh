#!/bin/sh
# Made-up positions of satellites, for the page's map: simplified circular orbits at 400 times their speed.
#
#     examples/satellites.sh | sse-pipe --open
#
# Each line is a JSON text such as {"name":"ISS","lat":-12.3456,"lon":45.6789,"altitude_km":420}.
exec awk 'BEGIN {
    pi = atan2(0, -1)
    # name, inclination in degrees, period in minutes, altitude in km, ascending node and place in the orbit in degrees
    n = split("ISS 51.6 92.9 420 70 200;Hubble 28.5 95.2 535 10 60;NOAA-20 98.7 101.4 824 160 300;" \
        "Tiangong 41.5 92.2 390 250 10;Terra 98.2 98.9 705 330 120", all, ";")
    for (t = 0; ; t += 20) {
        for (k = 1; k <= n; k++) {
            split(all[k], s, " ")
            u = 2 * pi * (t / (s[3] * 60) + s[6] / 360)
            i = s[2] * pi / 180
            z = sin(i) * sin(u)
            lat = atan2(z, sqrt(1 - z * z)) * 180 / pi
            # The Earth turns once in 86,164 s below the orbit.
            lon = s[5] + atan2(cos(i) * sin(u), cos(u)) * 180 / pi - 360 * t / 86164
            lon -= 360 * int(lon / 360)
            if (lon > 180) lon -= 360
            if (lon < -180) lon += 360
            printf "{\"name\":\"%s\",\"lat\":%.4f,\"lon\":%.4f,\"altitude_km\":%d}\n", s[1], lat, lon, s[4]
        }
        fflush()
        if (system("sleep 0.05") != 0) exit
    }
}'
