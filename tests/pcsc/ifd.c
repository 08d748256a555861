/* A driver of virtual readers that can be made to fail: it hands every call to vsmartcard's, unless it is told what ails it.
 *
 * The word in the file <this library>.fault tells, for both slots:
 *   unplugged   there is no such device; pcscd keeps it on its list, but doesn't take it up when it starts
 *   blind       nobody can say whether a card is in
 *   cut         the exchange with the card fails
 *   nonsense    the card's answer to reset breaks off
 *   foreign     the card's answer to reset offers T=14 alone
 * No file: all is well. VPCD is the path of vsmartcard's driver, whose state all that load it share: one entry in reader.conf.
 */

#define _GNU_SOURCE
#include <PCSC/ifdhandler.h>
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#define PASS(call, ...) ((__typeof__(&call))vpcd(#call))(__VA_ARGS__)

static const UCHAR NONSENSE[] = {0x3B, 0xFF, 0x00};
static const UCHAR FOREIGN[] = {0x3B, 0x80, 0x0E, 0x8E};

static void *vpcd(const char *call)
{
    static void *library;
    if (!library)
        library = dlopen(VPCD, RTLD_NOW | RTLD_LOCAL);
    return dlsym(library, call);
}

static int ails(const char *fault)
{
    char path[4096], word[16] = "";
    Dl_info us;
    FILE *file;
    if (!dladdr((void *)ails, &us) || snprintf(path, sizeof path, "%s.fault", us.dli_fname) >= (int)sizeof path)
        return 0;
    if ((file = fopen(path, "r"))) {
        if (!fgets(word, sizeof word, file))
            word[0] = 0;
        fclose(file);
    }
    return !strcmp(word, fault);
}

static RESPONSECODE reset(const UCHAR *answer, DWORD size, PUCHAR Atr, PDWORD AtrLength)
{
    memcpy(Atr, answer, size);
    *AtrLength = size;
    return IFD_SUCCESS;
}

RESPONSECODE IFDHCreateChannelByName(DWORD Lun, LPSTR DeviceName)
{
    return ails("unplugged") ? IFD_NO_SUCH_DEVICE : PASS(IFDHCreateChannelByName, Lun, DeviceName);
}

RESPONSECODE IFDHCreateChannel(DWORD Lun, DWORD Channel)
{
    return ails("unplugged") ? IFD_NO_SUCH_DEVICE : PASS(IFDHCreateChannel, Lun, Channel);
}

RESPONSECODE IFDHCloseChannel(DWORD Lun)
{
    return PASS(IFDHCloseChannel, Lun);
}

RESPONSECODE IFDHGetCapabilities(DWORD Lun, DWORD Tag, PDWORD Length, PUCHAR Value)
{
    return PASS(IFDHGetCapabilities, Lun, Tag, Length, Value);
}

RESPONSECODE IFDHSetCapabilities(DWORD Lun, DWORD Tag, DWORD Length, PUCHAR Value)
{
    return PASS(IFDHSetCapabilities, Lun, Tag, Length, Value);
}

RESPONSECODE IFDHSetProtocolParameters(DWORD Lun, DWORD Protocol, UCHAR Flags, UCHAR PTS1, UCHAR PTS2, UCHAR PTS3)
{
    return PASS(IFDHSetProtocolParameters, Lun, Protocol, Flags, PTS1, PTS2, PTS3);
}

RESPONSECODE IFDHPowerICC(DWORD Lun, DWORD Action, PUCHAR Atr, PDWORD AtrLength)
{
    RESPONSECODE done;
    if (ails("unplugged"))
        return IFD_NO_SUCH_DEVICE;
    done = PASS(IFDHPowerICC, Lun, Action, Atr, AtrLength);
    if (done != IFD_SUCCESS || Action == IFD_POWER_DOWN)
        return done;
    if (ails("nonsense"))
        return reset(NONSENSE, sizeof NONSENSE, Atr, AtrLength);
    return ails("foreign") ? reset(FOREIGN, sizeof FOREIGN, Atr, AtrLength) : done;
}

RESPONSECODE IFDHTransmitToICC(DWORD Lun, SCARD_IO_HEADER SendPci, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer,
                               PDWORD RxLength, PSCARD_IO_HEADER RecvPci)
{
    if (ails("unplugged"))
        return IFD_NO_SUCH_DEVICE;
    if (ails("cut"))
        return IFD_COMMUNICATION_ERROR;
    return PASS(IFDHTransmitToICC, Lun, SendPci, TxBuffer, TxLength, RxBuffer, RxLength, RecvPci);
}

RESPONSECODE IFDHICCPresence(DWORD Lun)
{
    if (ails("unplugged"))
        return IFD_NO_SUCH_DEVICE;
    return ails("blind") ? IFD_COMMUNICATION_ERROR : PASS(IFDHICCPresence, Lun);
}

RESPONSECODE IFDHControl(DWORD Lun, DWORD dwControlCode, PUCHAR TxBuffer, DWORD TxLength, PUCHAR RxBuffer, DWORD RxLength,
                         LPDWORD pdwBytesReturned)
{
    return PASS(IFDHControl, Lun, dwControlCode, TxBuffer, TxLength, RxBuffer, RxLength, pdwBytesReturned);
}
